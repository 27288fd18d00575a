// Both sides notice, in time, that the other has fallen silent.
import assert from "node:assert/strict";
import { ROUTES, openEngineClient } from "../support/clients.mjs";
import { startProxy } from "../support/proxy.mjs";
import { Polling, openWebSocket } from "../support/raw.mjs";
import { next, scenario } from "../support/scenario.mjs";
import { engineServer } from "../support/target.mjs";

const INTERVAL = 300;
const TIMEOUT = 200;
const HEARTBEAT = { ping_interval: INTERVAL, ping_timeout: TIMEOUT };

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: a quiet connection lives on`, async (t) => {
    const client = await openEngineClient(t, await engineServer(t, HEARTBEAT), options);
    for (let nth = 0; nth < 5; nth++) await next(client, "ping");
    client.send("alive");
    assert.equal(await client.inbox.take(), "alive");
  });

  scenario(`${route}: the server notices a client that fell silent`, async (t) => {
    const server = await engineServer(t, HEARTBEAT);
    const proxy = await startProxy(t, server);
    const client = await openEngineClient(t, proxy, options);
    await next(client, "ping");
    proxy.silence("up");
    const { reason } = await server.closed(client.sid);
    assert.equal(reason, "ping timeout");
  });

  scenario(`${route}: the client notices a server that fell silent`, async (t) => {
    const server = await engineServer(t, HEARTBEAT);
    const proxy = await startProxy(t, server);
    const client = await openEngineClient(t, proxy, options);
    await next(client, "ping");
    proxy.silence("down");
    assert.equal((await client.closings.take()).reason, "ping timeout");
    await server.closed(client.sid);
  });
}

scenario("silence is noticed after interval and timeout, not earlier", async (t) => {
  const server = await engineServer(t, HEARTBEAT);
  const started = performance.now();
  const socket = await openWebSocket(server);
  const { reason } = await server.closed(socket.sid);
  const elapsed = performance.now() - started;
  assert.equal(reason, "ping timeout");
  assert.ok(elapsed >= INTERVAL + TIMEOUT - 5, `closed after ${elapsed} ms`);
});

scenario("messages do not stand in for pongs", async (t) => {
  const server = await engineServer(t, HEARTBEAT);
  const socket = await openWebSocket(server);
  const chatter = setInterval(() => socket.send("4x"), 20);
  t.after(() => clearInterval(chatter));
  assert.equal((await server.closed(socket.sid)).reason, "ping timeout");
});

scenario("the next ping follows the pong by one interval", async (t) => {
  const socket = await openWebSocket(await engineServer(t, { ping_interval: 200, ping_timeout: 5000 }));
  assert.equal(await socket.inbox.take(), "2");
  const answered = performance.now();
  socket.send("3");
  assert.equal(await socket.inbox.take(), "2");
  assert.ok(performance.now() - answered >= 195);
});

scenario("unasked pongs do no harm", async (t) => {
  const socket = await openWebSocket(await engineServer(t));
  for (let nth = 0; nth < 1000; nth++) socket.send("3");
  socket.send("4alive");
  assert.equal(await socket.inbox.take(), "4alive");
});

scenario("a poll that waits when the heartbeat is lost is answered with a close", async (t) => {
  const server = await engineServer(t, HEARTBEAT);
  const polling = await Polling.open(server);
  assert.equal(await polling.poll(), "2");
  assert.equal(await polling.poll(), "1");
  assert.equal((await server.closed(polling.sid)).reason, "ping timeout");
});
