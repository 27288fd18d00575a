// From polling to WebSocket: nothing is lost or reordered, and what goes wrong leaves the connection on polling.
import assert from "node:assert/strict";
import { engineClient, openEngineClient } from "../support/clients.mjs";
import { startProxy } from "../support/proxy.mjs";
import { Polling } from "../support/raw.mjs";
import { assertMessages, next, range, scenario } from "../support/scenario.mjs";
import { engineServer, official } from "../support/target.mjs";

const BOTH = { transports: ["polling", "websocket"] };

scenario("traffic in both directions survives twenty upgrades", async (t) => {
  const server = await engineServer(t);
  const upgrade = async () => {
    const client = engineClient(t, server, BOTH);
    let sent = 0;
    let upgraded = false;
    client.once("upgrade", () => (upgraded = true));
    await next(client, "open");
    // Every echo causes the next messages, so that there is traffic at each moment of the upgrade.
    const received = [];
    const pump = () => {
      client.send(`mine ${sent++}`);
      client.send("burst 2");
    };
    for (let nth = 0; nth < 5; nth++) pump();
    for (let after = 0; after < 20; ) {
      const message = await client.inbox.take();
      received.push(message);
      if (!message.startsWith("mine")) continue;
      pump();
      if (upgraded) after++;
    }
    received.push(...(await client.inbox.takeMany(sent * 3 - received.length)));
    assertMessages(received.filter((text) => text.startsWith("mine")), range(sent).map((nth) => `mine ${nth}`));
    assertMessages(received.filter((text) => text.startsWith("burst")), range(sent * 2).map((nth) => `burst ${nth % 2}`));
    assert.equal(client.transport.name, "websocket");
    client.close();
  };
  await Promise.all(range(20).map(upgrade));
});

scenario("a burst that starts before the upgrade ends on the WebSocket in order", async (t) => {
  const server = await engineServer(t);
  const client = engineClient(t, server, BOTH);
  const upgraded = next(client, "upgrade");
  await next(client, "open");
  client.send("burst 500");
  client.on("upgrading", () => client.send("burst 500"));
  await upgraded;
  client.send("burst 500");
  assertMessages(await client.inbox.takeMany(1500), range(1500).map((nth) => `burst ${nth % 500}`));
});

scenario("binary sent while the transports change arrives", async (t) => {
  const server = await engineServer(t);
  const client = engineClient(t, server, BOTH);
  const upgraded = next(client, "upgrade");
  await next(client, "open");
  const sent = range(60).map((nth) => Buffer.alloc(2000, nth));
  sent.slice(0, 20).forEach((binary) => client.send(binary));
  client.once("upgrading", () => sent.slice(20, 40).forEach((binary) => client.send(binary)));
  await upgraded;
  sent.slice(40).forEach((binary) => client.send(binary));
  assertMessages(await client.inbox.takeMany(60), sent);
});

scenario("an upgraded connection outlives its polling timeouts", async (t) => {
  const server = await engineServer(t, { ping_interval: 200, ping_timeout: 200 });
  const client = await openEngineClient(t, server, BOTH);
  for (let nth = 0; nth < 4; nth++) await next(client, "ping");
  client.send("alive");
  assert.equal(await client.inbox.take(), "alive");
});

scenario("a client whose WebSockets fail stays on polling", async (t) => {
  const server = await engineServer(t);
  const proxy = await startProxy(t, server);
  proxy.reject = /upgrade: websocket/i;
  const client = engineClient(t, proxy, BOTH);
  const failed = next(client, "upgradeError");
  await next(client, "open");
  await failed;
  client.send("still here");
  assert.equal(await client.inbox.take(), "still here");
  assert.equal(client.transport.name, "polling");
});

scenario("a client that may not upgrade stays on polling", async (t) => {
  const server = await engineServer(t, { allow_upgrades: false, ping_interval: 100 });
  const client = engineClient(t, server, BOTH);
  client.on("upgrading", () => assert.fail("there was nothing to upgrade to"));
  await next(client, "open");
  await next(client, "ping");
  assert.equal(client.transport.name, "polling");
});

/** Asserts that the connection still works on polling. */
async function assertPolls(polling) {
  await polling.push("4still here");
  assert.deepEqual(await polling.packets(1), ["4still here"]);
}

const ABANDONED = [
  ["a wrong probe", (socket) => socket.send("2wrong")],
  ["a message before the upgrade", (socket) => socket.send("4early")],
  ["a lost WebSocket", (socket) => socket.terminate()],
];

for (const [name, spoil] of ABANDONED) {
  scenario(`${name} leaves the connection on polling`, async (t) => {
    const polling = await Polling.open(await engineServer(t));
    const socket = polling.webSocket();
    await socket.opened();
    spoil(socket);
    await socket.closed();
    await assertPolls(polling);
  });
}

scenario("an upgrade without probe is not accepted", { skip: official }, async (t) => {
  const polling = await Polling.open(await engineServer(t));
  const socket = polling.webSocket();
  await socket.opened();
  socket.send("5");
  await socket.closed();
  await assertPolls(polling);
});

scenario("a probe that is not followed by the upgrade times out", async (t) => {
  const polling = await Polling.open(await engineServer(t, { upgrade_timeout: 300 }));
  const socket = polling.webSocket();
  await socket.opened();
  socket.send("2probe");
  assert.equal(await socket.inbox.take(), "3probe");
  await socket.closed();
  await assertPolls(polling);
});

scenario("a second probe for the connection is closed, the first goes on", async (t) => {
  const polling = await Polling.open(await engineServer(t));
  const first = polling.webSocket();
  await first.opened();
  first.send("2probe");
  assert.equal(await first.inbox.take(), "3probe");
  await polling.webSocket().closed();
  first.send("5");
  first.send("4hello");
  assert.equal(await first.inbox.take(), "4hello");
});

scenario("each probe is answered", async (t) => {
  const polling = await Polling.open(await engineServer(t));
  const socket = polling.webSocket();
  await socket.opened();
  for (let nth = 0; nth < 3; nth++) {
    socket.send("2probe");
    assert.equal(await socket.inbox.take(), "3probe");
  }
});

scenario("messages sent during the upgrade without a poll follow on the WebSocket", async (t) => {
  const polling = await Polling.open(await engineServer(t));
  const socket = polling.webSocket();
  await socket.opened();
  socket.send("2probe");
  assert.equal(await socket.inbox.take(), "3probe");
  await polling.push("4one\x1e4two");
  socket.send("5");
  assert.deepEqual(await socket.inbox.takeMany(2), ["4one", "4two"]);
});
