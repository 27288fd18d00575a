// Either side may close in every state; both learn of it, with the reason that the protocol gives.
import assert from "node:assert/strict";
import { ROUTES, engineClient, openEngineClient } from "../support/clients.mjs";
import { Polling, openWebSocket } from "../support/raw.mjs";
import { assertMessages, next, range, scenario, within } from "../support/scenario.mjs";
import { engineServer, official } from "../support/target.mjs";

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: the client closes`, async (t) => {
    const server = await engineServer(t);
    const client = await openEngineClient(t, server, options);
    client.close();
    assert.equal((await client.closings.take()).reason, "forced close");
    assert.equal((await server.closed(client.sid)).reason, "transport close");
  });

  scenario(`${route}: the client closes while it opens`, async (t) => {
    const server = await engineServer(t);
    const client = engineClient(t, server, options);
    client.close();
    assert.equal((await client.closings.take()).reason, "forced close");
    const other = await openEngineClient(t, server, options);
    other.send("served");
    assert.equal(await other.inbox.take(), "served");
  });

  scenario(`${route}: the client closes as soon as it is open`, async (t) => {
    const server = await engineServer(t);
    const client = engineClient(t, server, options);
    await next(client, "open");
    const sid = client.id;
    client.close();
    assert.equal((await client.closings.take()).reason, "forced close");
    assert.equal((await server.closed(sid)).reason, "transport close");
  });

  scenario(`${route}: what the client sent before it closed arrives`, async (t) => {
    const server = await engineServer(t);
    const client = await openEngineClient(t, server, options);
    client.send("close");
    client.close();
    await client.closings.take();
    assert.match((await server.closed(client.sid)).reason, /^(forced close|transport close)$/);
  });

  scenario(`${route}: the server closes`, async (t) => {
    const server = await engineServer(t);
    const client = await openEngineClient(t, server, options);
    client.send("close");
    assert.equal((await client.closings.take()).reason, "transport close");
    assert.equal((await server.closed(client.sid)).reason, "forced close");
  });

  scenario(`${route}: the server closes at once`, async (t) => {
    const server = await engineServer(t);
    const client = await openEngineClient(t, server, options);
    client.send("close-now");
    assert.equal((await client.closings.take()).reason, "transport close");
    assert.equal((await server.closed(client.sid)).reason, "forced close");
  });

  scenario(`${route}: what the server sent before it closed arrives`, async (t) => {
    const server = await engineServer(t);
    const client = await openEngineClient(t, server, options);
    client.send("bye");
    assertMessages(await client.inbox.takeMany(3), range(3).map((nth) => `bye ${nth}`));
    await client.closings.take();
    assert.equal((await server.closed(client.sid)).reason, "forced close");
  });

  scenario(`${route}: the server shuts down`, async (t) => {
    const server = await engineServer(t);
    const clients = await Promise.all(range(5).map(() => openEngineClient(t, server, options)));
    server.shutdown();
    // A client that is between two polls finds nobody to ask.
    for (const client of clients) assert.match((await client.closings.take()).reason, /^transport (close|error)$/);
    for (const client of clients)
      assert.equal((await server.closed(client.sid)).reason, official ? "forced close" : "server shutting down");
  });

  scenario(`${route}: the server dies`, async (t) => {
    const server = await engineServer(t);
    const client = await openEngineClient(t, server, options);
    await server.stop();
    assert.match((await client.closings.take()).reason, /^transport (close|error)$/);
  });
}

scenario("polling with a waiting poll: the server's close releases it", async (t) => {
  const server = await engineServer(t);
  let polling, poll;
  do {
    polling = await Polling.open(server);
    [poll] = await Promise.all([polling.poll(), polling.push("4close")]);
    assert.equal((await server.closed(polling.sid)).reason, "forced close");
    // They travel on two connections: where the message was faster, no poll has been waiting.
  } while (poll === "6\x1e1");
  assert.equal(poll, "1");
  await polling.assertUnknown();
});

scenario("polling without a poll: the next one learns of the server's close", async (t) => {
  const server = await engineServer(t);
  const polling = await Polling.open(server);
  await polling.push("4close");
  assert.equal(await polling.poll(), "6\x1e1");
  assert.equal((await server.closed(polling.sid)).reason, "forced close");
  await polling.assertUnknown();
});

scenario("polling with data queued: the data comes before the close", async (t) => {
  const server = await engineServer(t);
  const polling = await Polling.open(server);
  await polling.push("4bye");
  assert.equal(await polling.poll(), "4bye 0\x1e4bye 1\x1e4bye 2");
  assert.equal(await polling.poll(), "6\x1e1");
  assert.equal((await server.closed(polling.sid)).reason, "forced close");
});

scenario("polling without a poll: the client's close is enough", async (t) => {
  const server = await engineServer(t);
  const polling = await Polling.open(server);
  await polling.push("4lost?\x1e1\x1e4never");
  assert.equal((await server.closed(polling.sid)).reason, "transport close");
  await polling.assertUnknown();
});

scenario("during the upgrade: the client closes", async (t) => {
  const server = await engineServer(t);
  const client = engineClient(t, server, { transports: ["polling", "websocket"] });
  const closing = within(10_000, '"upgrading"', (resolve) => client.once("upgrading", () => resolve(client.close())));
  await next(client, "open");
  const sid = client.id;
  await closing;
  assert.equal((await client.closings.take()).reason, "forced close");
  assert.equal((await server.closed(sid)).reason, "transport close");
});

scenario("during the upgrade: the server closes", async (t) => {
  const server = await engineServer(t);
  const client = engineClient(t, server, { transports: ["polling", "websocket"] });
  await next(client, "open");
  const sid = client.id;
  client.send("close");
  assert.equal((await client.closings.take()).reason, "transport close");
  assert.equal((await server.closed(sid)).reason, "forced close");
});

scenario("between probe and upgrade: the server's close ends the WebSocket too", async (t) => {
  const server = await engineServer(t);
  const polling = await Polling.open(server);
  const socket = polling.webSocket();
  await socket.opened();
  socket.send("2probe");
  assert.equal(await socket.inbox.take(), "3probe");
  await polling.push("4close-now");
  socket.send("5");
  await socket.closed();
  assert.equal((await server.closed(polling.sid)).reason, "forced close");
});

scenario("between probe and upgrade: the client's close ends the WebSocket too", async (t) => {
  const server = await engineServer(t);
  const polling = await Polling.open(server);
  const socket = polling.webSocket();
  await socket.opened();
  socket.send("2probe");
  assert.equal(await socket.inbox.take(), "3probe");
  await polling.push("1");
  assert.equal((await server.closed(polling.sid)).reason, "transport close");
  await socket.closed();
});

scenario("after the close nothing more is delivered", async (t) => {
  const server = await engineServer(t);
  const socket = await openWebSocket(server);
  socket.send("4close");
  socket.send("4too late");
  await socket.closed();
  assert.equal(socket.inbox.size, 0);
  assert.equal((await server.closed(socket.sid)).reason, "forced close");
});
