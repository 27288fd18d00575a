// `maxPayload` holds to the byte, on every way in.
import assert from "node:assert/strict";
import { request } from "node:http";
import { once } from "node:events";
import { ROUTES, openEngineClient } from "../support/clients.mjs";
import { Polling, openWebSocket } from "../support/raw.mjs";
import { assertMessages, scenario } from "../support/scenario.mjs";
import { engineServer } from "../support/target.mjs";

const MEGABYTE = 1_000_000;
/** A packet's type takes one byte of the payload. */
const LARGEST_TEXT = "x".repeat(MEGABYTE - 1);

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: the largest text comes back`, async (t) => {
    const client = await openEngineClient(t, await engineServer(t), options);
    client.send(LARGEST_TEXT);
    assertMessages([await client.inbox.take()], [LARGEST_TEXT]);
  });

  scenario(`${route}: the largest binary comes back`, async (t) => {
    const client = await openEngineClient(t, await engineServer(t), options);
    // As base64 with its leading `b`, where the route is polling: 4 characters for 3 bytes.
    const binary = Buffer.alloc(route === "polling" ? 749_997 : MEGABYTE, 5);
    client.send(binary);
    assertMessages([await client.inbox.take()], [binary]);
  });

  scenario(`${route}: one byte more ends the client's connection`, async (t) => {
    const server = await engineServer(t);
    const client = await openEngineClient(t, server, options);
    client.send(`${LARGEST_TEXT}x`);
    const { reason, details } = await client.closings.take();
    if (route === "polling") {
      assert.equal(reason, "transport error");
      assert.equal(client.failure.description, 413);
    } else {
      assert.equal(reason, "transport close");
      assert.equal(details.context.code, 1009);
      assert.equal((await server.closed(client.sid)).reason, "transport error");
    }
  });
}

scenario("a post that is too large is refused and the connection lives", async (t) => {
  const polling = await Polling.open(await engineServer(t, { max_payload: 1000 }));
  const refused = await polling.post(`4${"x".repeat(1000)}`);
  assert.equal(refused.status, 413);
  assert.equal(await refused.text(), "");
  const largest = `4${"x".repeat(999)}`;
  await polling.push(largest);
  assert.equal(await polling.poll(), largest);
});

scenario("a body in chunks is counted as it comes", async (t) => {
  const polling = await Polling.open(await engineServer(t, { max_payload: 1000 }));
  const post = request(polling.url, { method: "POST", headers: { "transfer-encoding": "chunked" } });
  post.on("error", () => {});
  const answered = once(post, "response");
  for (let nth = 0; nth < 11; nth++) post.write("x".repeat(100));
  const [response] = await answered;
  assert.equal(response.statusCode, 413);
  post.destroy();
  await polling.push("4alive");
  assert.equal(await polling.poll(), "4alive");
});

scenario("the limit counts bytes, not characters", async (t) => {
  const polling = await Polling.open(await engineServer(t, { max_payload: 1000 }));
  const largest = `4${"€".repeat(333)}`;
  await polling.push(largest);
  assert.equal(await polling.poll(), largest);
  assert.equal((await polling.post(`${largest}x`)).status, 413);
});

const TOO_LARGE = [
  ["text", (socket) => socket.send("4".repeat(1001))],
  ["binary", (socket) => socket.send(Buffer.alloc(1001))],
  ["a message in fragments", (socket) => {
    socket.send("4".repeat(600), { fin: false });
    socket.send("4".repeat(401), { fin: true });
  }],
];

for (const [name, send] of TOO_LARGE) {
  scenario(`${name} that is too large closes the WebSocket with 1009`, async (t) => {
    const server = await engineServer(t, { max_payload: 1000 });
    const socket = await openWebSocket(server);
    socket.send(Buffer.alloc(1000));
    assert.equal((await socket.inbox.take()).length, 1000);
    send(socket);
    assert.equal(await socket.closed(), 1009);
    assert.equal((await server.closed(socket.sid)).reason, "transport error");
  });
}
