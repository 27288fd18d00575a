// The checks of the Engine.IO protocol (revision 4), by hand over HTTP and WebSocket.
import assert from "node:assert/strict";
import { Polling, openWebSocket, rawWebSocket } from "../support/raw.mjs";
import { scenario } from "../support/scenario.mjs";
import { engineServer, official } from "../support/target.mjs";

const SID = /^[\w-]{20}$/;
const HEARTBEAT = { ping_interval: 300, ping_timeout: 200 };

scenario("handshake over polling: opens a connection", async (t) => {
  const { open, response } = await Polling.open(await engineServer(t, HEARTBEAT));
  assert.match(open.sid, SID);
  assert.deepEqual({ ...open, sid: "" }, { sid: "", upgrades: ["websocket"], pingInterval: 300, pingTimeout: 200, maxPayload: 1_000_000 });
  assert.equal(response.headers.get("content-type"), "text/plain; charset=UTF-8");
  assert.equal(response.headers.get("cache-control"), "no-store");
});

const REFUSED = [
  ["EIO missing", "GET", "transport=polling", 5, "Unsupported protocol version"],
  ["EIO of the future", "GET", "EIO=abc&transport=polling", 5, "Unsupported protocol version"],
  ["transport missing", "GET", "EIO=4", 0, "Transport unknown"],
  ["transport unknown", "GET", "EIO=4&transport=abc", 0, "Transport unknown"],
  ["transport of an object", "GET", "EIO=4&transport=__proto__", 0, "Transport unknown"],
  ["sid unknown", "GET", "EIO=4&transport=polling&sid=abc", 1, "Session ID unknown"],
  ["method POST", "POST", "EIO=4&transport=polling", 2, "Bad handshake method"],
  ["method PUT", "PUT", "EIO=4&transport=polling", 2, "Bad handshake method"],
  ["websocket without upgrade", "GET", "EIO=4&transport=websocket", 3, "Bad request"],
];

for (const [name, method, query, code, message] of REFUSED) {
  scenario(`handshake over polling: refuses ${name}`, async (t) => {
    const server = await engineServer(t);
    const response = await fetch(`${server.url}/engine.io/?${query}`, { method });
    assert.equal(response.status, 400);
    assert.equal(response.headers.get("content-type"), "application/json");
    assert.equal(await response.text(), JSON.stringify({ code, message }));
    assert.equal((await server.report("error")).code, code);
  });
}

scenario("handshake over WebSocket: opens a connection", async (t) => {
  const { open } = await openWebSocket(await engineServer(t, HEARTBEAT));
  assert.match(open.sid, SID);
  assert.deepEqual({ ...open, sid: "" }, { sid: "", upgrades: [], pingInterval: 300, pingTimeout: 200, maxPayload: 1_000_000 });
});

scenario("handshake over WebSocket: refuses a transport that it does not know", async (t) => {
  for (const parameters of ["EIO=4", "EIO=4&transport=abc"]) {
    const refusal = await rawWebSocket(await engineServer(t), { parameters }).refused();
    assert.equal(refusal.status, 400);
    assert.match(refusal.body, /Transport unknown/);
  }
});

scenario("handshake over WebSocket: refuses a protocol that it does not know", async (t) => {
  for (const parameters of ["transport=websocket", "EIO=abc&transport=websocket"]) {
    const socket = rawWebSocket(await engineServer(t), { parameters });
    // The official server answers 101 and breaks the WebSocket afterwards.
    if (official) await socket.closed();
    else assert.equal((await socket.refused()).status, 400);
  }
});

const PAYLOADS = [
  ["one text packet", "4hello", ["4hello"]],
  ["several text packets", "4test1\x1e4test2\x1e4test3", ["4test1", "4test2", "4test3"]],
  ["text and binary packets", "4test1\x1ebAQIDBA==\x1e4€", ["4test1", "bAQIDBA==", "4€"]],
  ["an empty message", "4", ["4"]],
];

for (const [name, payload, packets] of PAYLOADS) {
  scenario(`messages over polling: ${name}`, async (t) => {
    const polling = await Polling.open(await engineServer(t));
    await polling.push(payload);
    assert.equal(await polling.poll(), packets.join("\x1e"));
  });
}

scenario("messages over polling: a bad packet closes the connection", async (t) => {
  const server = await engineServer(t);
  const polling = await Polling.open(server);
  const response = await polling.post("abc");
  assert.equal(response.status, official ? 200 : 400);
  assert.equal((await server.closed(polling.sid)).reason, "parse error");
  await polling.assertUnknown();
});

scenario("messages over polling: a second poll closes the connection", async (t) => {
  const server = await engineServer(t);
  const polling = await Polling.open(server);
  const statuses = await Promise.all([polling.get(), polling.get()]);
  assert.deepEqual(statuses.map(({ status }) => status).sort(), [200, 400]);
  const first = statuses.find(({ status }) => status === 200);
  assert.equal(await first.text(), "1");
  assert.equal((await server.closed(polling.sid)).reason, "transport error");
  await polling.assertUnknown();
});

scenario("messages over polling: a cancelled poll closes the connection", async (t) => {
  const server = await engineServer(t);
  const polling = await Polling.open(server);
  const abort = new AbortController();
  const poll = polling.get({ signal: abort.signal });
  // The echo proves that the server had time to see the poll; the next one waits.
  await polling.push("4seen");
  assert.equal(await (await poll).text(), "4seen");
  const cancelled = polling.get({ signal: abort.signal });
  await polling.push("3");
  abort.abort();
  await assert.rejects(cancelled);
  assert.equal((await server.closed(polling.sid)).reason, "transport error");
  await polling.assertUnknown();
});

scenario("messages over WebSocket: text", async (t) => {
  const socket = await openWebSocket(await engineServer(t));
  socket.send("4hello€");
  assert.equal(await socket.inbox.take(), "4hello€");
});

scenario("messages over WebSocket: binary", async (t) => {
  const socket = await openWebSocket(await engineServer(t));
  socket.send(Buffer.from([1, 2, 3, 4]));
  assert.deepEqual(await socket.inbox.take(), Buffer.from([1, 2, 3, 4]));
  socket.send("bAQIDBA==");
  assert.deepEqual(await socket.inbox.take(), Buffer.from([1, 2, 3, 4]));
});

scenario("messages over WebSocket: binary as base64 where the client asks for it", async (t) => {
  const socket = await openWebSocket(await engineServer(t), { query: "&b64=1" });
  socket.send("bAQIDBA==");
  assert.equal(await socket.inbox.take(), "bAQIDBA==");
});

scenario("messages over WebSocket: a bad packet closes the connection", async (t) => {
  const server = await engineServer(t);
  const socket = await openWebSocket(server);
  socket.send("abc");
  assert.equal(await socket.closed(), 1005);
  assert.equal((await server.closed(socket.sid)).reason, "parse error");
});

scenario("heartbeat over polling: pings and takes pongs", async (t) => {
  const polling = await Polling.open(await engineServer(t, HEARTBEAT));
  for (let nth = 0; nth < 3; nth++) {
    assert.equal(await polling.poll(), "2");
    await polling.push("3");
  }
});

scenario("heartbeat over polling: closes without a pong", async (t) => {
  const server = await engineServer(t, HEARTBEAT);
  const polling = await Polling.open(server);
  assert.equal((await server.closed(polling.sid)).reason, "ping timeout");
  await polling.assertUnknown();
});

scenario("heartbeat over WebSocket: pings and takes pongs", async (t) => {
  const socket = await openWebSocket(await engineServer(t, HEARTBEAT));
  for (let nth = 0; nth < 3; nth++) {
    assert.equal(await socket.inbox.take(), "2");
    socket.send("3");
  }
});

scenario("heartbeat over WebSocket: closes without a pong", async (t) => {
  const server = await engineServer(t, HEARTBEAT);
  const socket = await openWebSocket(server);
  await socket.closed();
  assert.equal((await server.closed(socket.sid)).reason, "ping timeout");
});

scenario("close over polling: the waiting poll is released", async (t) => {
  const server = await engineServer(t);
  const released = async () => {
    const polling = await Polling.open(server);
    const [poll] = await Promise.all([polling.get(), polling.push("1")]);
    assert.equal((await server.closed(polling.sid)).reason, "transport close");
    await polling.assertUnknown();
    // Where the post has overtaken the poll, none was waiting.
    return poll.status === 400 ? released() : poll.text();
  };
  assert.equal(await released(), "6");
});

scenario("close over WebSocket: the WebSocket is closed", async (t) => {
  const server = await engineServer(t, HEARTBEAT);
  const socket = await openWebSocket(server);
  socket.send("1");
  await socket.closed();
  // The official server ignores the packet, so that the heartbeat ends the connection.
  assert.equal((await server.closed(socket.sid)).reason, official ? "ping timeout" : "transport close");
});

/** Upgrades by hand: probe, release of the poll, upgrade packet. */
async function upgrade(polling) {
  const poll = polling.poll();
  const socket = polling.webSocket();
  await socket.opened();
  socket.send("2probe");
  assert.equal(await socket.inbox.take(), "3probe");
  assert.equal(await poll, "6");
  socket.send("5");
  socket.send("4hello");
  assert.equal(await socket.inbox.take(), "4hello");
  return socket;
}

scenario("upgrade: from polling to WebSocket", async (t) => {
  const server = await engineServer(t);
  const polling = await Polling.open(server);
  const socket = await upgrade(polling);
  await server.report("upgrade", polling.sid);
  socket.send("4who");
  assert.deepEqual(JSON.parse((await socket.inbox.take()).slice(1)), { transport: "websocket", protocol: 4 });
});

scenario("upgrade: HTTP requests for the connection are refused afterwards", async (t) => {
  const polling = await Polling.open(await engineServer(t));
  const socket = await upgrade(polling);
  for (const response of [await polling.get(), await polling.post("4lost")]) {
    assert.equal(response.status, 400);
    assert.deepEqual(await response.json(), { code: 3, message: "Bad request" });
  }
  socket.send("4still here");
  assert.equal(await socket.inbox.take(), "4still here");
});

scenario("upgrade: a further WebSocket for the connection is closed afterwards", async (t) => {
  const polling = await Polling.open(await engineServer(t));
  const socket = await upgrade(polling);
  await polling.webSocket().closed();
  socket.send("4still here");
  assert.equal(await socket.inbox.take(), "4still here");
});
