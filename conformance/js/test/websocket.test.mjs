// WebSocket on the wire: handshake, control frames, close codes.
import assert from "node:assert/strict";
import { once } from "node:events";
import { request } from "node:http";
import { openWebSocket, rawWebSocket } from "../support/raw.mjs";
import { next, scenario } from "../support/scenario.mjs";
import { engineServer, official } from "../support/target.mjs";

scenario("the connection is not announced to be upgradable", async (t) => {
  const { open } = await openWebSocket(await engineServer(t));
  assert.deepEqual(open.upgrades, []);
});

scenario("a WebSocket ping is answered with its payload", async (t) => {
  const socket = await openWebSocket(await engineServer(t));
  socket.ping("are you there");
  const [payload] = await next(socket, "pong");
  assert.equal(payload.toString(), "are you there");
});

scenario("a close frame is answered with its code", async (t) => {
  const server = await engineServer(t);
  const socket = await openWebSocket(server);
  socket.close(1000);
  assert.equal(await socket.closed(), 1000);
  assert.equal((await server.closed(socket.sid)).reason, "transport close");
});

scenario("a broken TCP connection ends the connection", async (t) => {
  const server = await engineServer(t);
  const socket = await openWebSocket(server);
  socket.terminate();
  assert.equal((await server.closed(socket.sid)).reason, "transport close");
});

scenario("fragments of a message are put together around control frames", async (t) => {
  const socket = await openWebSocket(await engineServer(t));
  socket.send("4he", { fin: false });
  socket.ping("between");
  socket.send("ll", { fin: false });
  socket.send("o", { fin: true });
  assert.equal(await socket.inbox.take(), "4hello");
});

scenario("text that is not UTF-8 is refused with 1007", async (t) => {
  const server = await engineServer(t);
  const socket = await openWebSocket(server);
  socket.send(Buffer.from([0x34, 0xff, 0xfe]), { binary: false });
  assert.equal(await socket.closed(), 1007);
  assert.equal((await server.closed(socket.sid)).reason, "transport error");
});

scenario("an unmasked frame is refused with 1002", async (t) => {
  const server = await engineServer(t);
  const socket = await openWebSocket(server);
  socket.send("4x", { mask: false });
  assert.equal(await socket.closed(), 1002);
  assert.equal((await server.closed(socket.sid)).reason, "transport error");
});

const BAD_PACKETS = [
  ["an empty text frame", "", "parse error"],
  ["an unknown packet type", "7", "parse error"],
  ["a ping from the client", "2", "transport error"],
];

for (const [name, frame, reason] of BAD_PACKETS) {
  scenario(`${name} closes the connection without a code`, async (t) => {
    const server = await engineServer(t);
    const socket = await openWebSocket(server);
    socket.send(frame);
    assert.equal(await socket.closed(), 1005);
    assert.equal((await server.closed(socket.sid)).reason, reason);
  });
}

scenario("a handshake without a key is refused", async (t) => {
  const server = await engineServer(t);
  const headers = { connection: "Upgrade", upgrade: "websocket", "sec-websocket-version": "13" };
  const [response] = await once(request(`${server.url}/engine.io/?EIO=4&transport=websocket`, { headers }).end(), "response");
  assert.equal(response.statusCode, 400);
  response.resume();
});

scenario("a WebSocket for polling is not served", async (t) => {
  const socket = rawWebSocket(await engineServer(t), { parameters: "EIO=4&transport=polling" });
  // The official server opens the WebSocket and closes it at once.
  if (official) assert.equal(await socket.closed(), 1005);
  else assert.equal((await socket.refused()).status, 400);
});

scenario("what is sent in the same segment as the handshake arrives", { skip: official }, async (t) => {
  const server = await engineServer(t);
  const { connect } = await import("node:net");
  const tcp = connect(server.port, "127.0.0.1");
  t.after(() => tcp.destroy());
  const head = `GET /engine.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
  tcp.write(Buffer.concat([Buffer.from(head), Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x34, 0x78])]));
  let received = "";
  for await (const bytes of tcp) {
    received += bytes.toString("latin1");
    if (received.endsWith("\x81\x024x")) break;
  }
  assert.match(received, /^HTTP\/1\.1 101 /);
});
