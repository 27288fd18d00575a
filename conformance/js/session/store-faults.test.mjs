// The store fails in every way that it has, while sockets are open.
import assert from "node:assert/strict";
import { ROUTES, call, connectSocket, inboxOf } from "../support/clients.mjs";
import { startProxy } from "../support/proxy.mjs";
import { rawWebSocket } from "../support/raw.mjs";
import { next, range, scenario, until } from "../support/scenario.mjs";
import { assertFailed, callInVain, openSocket, startSite, stored } from "../support/site.mjs";
import { oursAlone } from "../support/target.mjs";
import { Visitor, loggedIn } from "../support/visitor.mjs";

const waits = oursAlone("waits for the store for as long as it takes");

/** Ours gives up on a command after so long a time. */
const PATIENCE = { store_timeout: 500 };

/** The status of a handshake, by polling and by WebSocket. */
async function handshakes(server, visitor) {
  const polling = await visitor.clone().request(server, "/socket.io/?EIO=4&transport=polling");
  const webSocket = await rawWebSocket(server, { path: "/socket.io/", headers: visitor.extraHeaders }).refused();
  return [polling.status, webSocket.status];
}

/** Waits until a write succeeds again. */
function works(socket) {
  return until("able to save again", async () => (await call(socket, "set", "after", "the fault")) === true);
}

for (const route of Object.keys(ROUTES)) {
  scenario(`${route}: Redis is killed and comes back with what it had`, waits, async (t) => {
    const { redis, express, server } = await startSite(t, PATIENCE, { durable: true });
    const visitor = await loggedIn(express);
    const socket = await openSocket(t, server, visitor, route);
    const closed = inboxOf(socket, "disconnect");
    assert.equal(await call(socket, "set", "before", 1), true);
    const before = await redis.client.get(visitor.key);

    await redis.kill();
    await callInVain(socket, "set", "mine", 1);
    await callInVain(socket, "increment", "count");
    await callInVain(socket, "max-age", 1000);
    await callInVain(socket, "destroy");
    await server.reports.find(({ event, name }) => event === "error" && name === "set", "report of the error");
    assert.equal(await call(socket, "echo", "still here"), "still here");
    // Who says who they are gets no other session instead.
    assert.deepEqual(await handshakes(server, visitor), [503, 503]);
    assert.equal((await visitor.clone().request(server, "/me")).status, 503);
    // Who says nothing needs no store.
    const stranger = await connectSocket(t, server, ROUTES[route]);
    assert.equal(await call(stranger, "echo", 1), 1);

    await redis.restart();
    assert.equal(await redis.client.get(visitor.key), before);
    await works(socket);
    assert.deepEqual(await visitor.get(express, "/me"), { user: "ada", before: 1, after: "the fault" });
    assert.equal(await call(await openSocket(t, server, visitor, route), "get", "user"), "ada");
    assert.equal(closed.size, 0);
  });
}

scenario("Redis is killed and has forgotten everything: the sockets end", waits, async (t) => {
  const { redis, express, server } = await startSite(t, { ...PATIENCE, grace: 50 });
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  const ended = next(socket, "disconnect");
  await redis.kill();
  await redis.restart();
  await ended;
  assert.equal((await server.report("end")).why, "gone");
  assert.deepEqual(await visitor.clone().get(server, "/me"), {});
});

scenario("what happened while the store was out of reach, the sockets learn afterwards", waits, async (t) => {
  const { express, server, store } = await startSite(t, { ...PATIENCE, grace: 50 }, { through: (redis) => startProxy(t, redis) });
  const [ada, ben] = [await loggedIn(express, "ada"), await loggedIn(express, "ben")];
  const [stays, leaves] = [await openSocket(t, server, ada), await openSocket(t, server, ben)];
  const closed = inboxOf(stays, "disconnect");
  store.cut();
  await ada.post(express, "/set", { key: "city", value: "Köln" });
  await ben.post(express, "/logout");
  const ended = next(leaves, "disconnect");
  assert.equal(await call(stays, "echo", 1), 1);
  store.restore();
  await until("told of the change", async () => (await call(stays, "get", "city")) === "Köln");
  await ended;
  assert.equal(closed.size, 0);
});

scenario("the store's connection is cut again and again: no acknowledged write is lost, none is made twice", waits, async (t) => {
  const { express, server, store } = await startSite(t, PATIENCE, { through: (redis) => startProxy(t, redis) });
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  const [keys, counts] = [[], []];
  let attempts = 0;
  for (let cuts = 0; cuts < 5; cuts++) {
    const sets = range(20).map(async (nth) => {
      const key = `key ${cuts} ${nth}`;
      if ((await call(socket, "set", key, nth)) === true) keys.push(key);
    });
    const increments = range(20).map(async () => {
      const answer = await call(socket, "increment", "count");
      attempts++;
      if (typeof answer === "number") counts.push(answer);
    });
    // Some have been made by then, some are under way.
    await sets[0];
    store.cut();
    await Promise.all([...sets, ...increments]);
    await callInVain(socket, "set", "during", "the cut");
    store.restore();
    await works(socket);
  }
  const me = await visitor.get(express, "/me");
  for (const key of keys) assert.ok(key in me, key);
  // No two were given the same number; who was told of an error may have been counted, but once.
  assert.equal(new Set(counts).size, counts.length);
  const { count = 0 } = me;
  assert.ok(count >= Math.max(0, ...counts) && count >= counts.length && count <= attempts, `${count} for ${counts.length} of ${attempts}`);
});

scenario("Redis is killed while a handler is at work: its answer is the truth, and the record whole", waits, async (t) => {
  const { redis, express, server } = await startSite(t, PATIENCE, { durable: true });
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  const before = await stored(redis, visitor);
  const slow = call(socket, "set-slow", "mine", "x".repeat(100_000), 200);
  await redis.kill();
  assertFailed(await slow);
  await redis.restart();
  assert.deepEqual(await stored(redis, visitor), before);
  await works(socket);
});

scenario("Redis hangs: handlers and handshakes fail in time, and work again when it has recovered", waits, async (t) => {
  const { redis, express, server } = await startSite(t, PATIENCE);
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  redis.pause();
  const since = Date.now();
  await callInVain(socket, "set", "mine", 1);
  assert.deepEqual(await handshakes(server, visitor), [503, 503]);
  assert.ok(Date.now() - since < 5000, `${Date.now() - since} ms`);
  assert.equal(await call(socket, "echo", "still here"), "still here");
  redis.resume();
  await works(socket);
  // The write that was given up may be made by now, or never: it is whole or not there.
  const { user, mine = 1, after } = await visitor.get(express, "/me");
  assert.deepEqual({ user, mine, after }, { user: "ada", mine: 1, after: "the fault" });
});

scenario("Redis is slow: handlers and handshakes wait for it", async (t) => {
  const { redis, express, server } = await startSite(t, { store_timeout: 10_000 });
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  redis.pause();
  const [change, late] = [call(socket, "set", "mine", 1), openSocket(t, server, visitor, "upgrade")];
  // Meanwhile the server does other things.
  const stranger = await connectSocket(t, server, ROUTES.websocket);
  for (let nth = 0; nth < 20; nth++) assert.equal(await call(stranger, "echo", nth), nth);
  redis.resume();
  assert.equal(await change, true);
  assert.equal(await call(await late, "get", "user"), "ada");
  assert.deepEqual(await visitor.get(express, "/me"), { user: "ada", mine: 1 });
});

scenario("connections that Redis closes are opened again", waits, async (t) => {
  const { redis, express, server } = await startSite(t, PATIENCE);
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  for (let round = 0; round < 3; round++) {
    await redis.client.sendCommand(["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]);
    await works(socket);
    await visitor.post(express, "/set", { key: "round", value: round });
    await until("told of the change", async () => (await call(socket, "get", "round")) === round);
  }
});

scenario("all sessions are deleted at once: all sockets end", waits, async (t) => {
  const { redis, express, server } = await startSite(t, { ...PATIENCE, grace: 50 });
  const sockets = [];
  for (const user of ["ada", "ben", "cleo"]) sockets.push(await openSocket(t, server, await loggedIn(express, user)));
  const ended = sockets.map((socket) => next(socket, "disconnect"));
  await redis.client.flushAll();
  await Promise.all(ended);
});

for (const [fault, inflict, cure] of [
  [
    "has become a replica",
    ({ client }) => client.sendCommand(["REPLICAOF", "127.0.0.1", "1"]),
    ({ client }) => client.sendCommand(["REPLICAOF", "NO", "ONE"]),
  ],
  [
    "has lost its replicas",
    ({ client }) => client.configSet("min-replicas-to-write", "1"),
    ({ client }) => client.configSet("min-replicas-to-write", "0"),
  ],
  ["is full", ({ client }) => client.configSet("maxmemory", "1"), ({ client }) => client.configSet("maxmemory", "0")],
]) {
  scenario(`Redis ${fault}: reading works, a change is answered with an error`, async (t) => {
    const { redis, express, server } = await startSite(t, PATIENCE);
    const visitor = await loggedIn(express);
    const socket = await openSocket(t, server, visitor);
    const before = await redis.client.get(visitor.key);
    await inflict(redis);
    for (const event of [
      ["set", "mine", 1],
      ["increment", "count"],
      ["slow-set", "mine", 1, 10],
    ])
      await callInVain(socket, ...event);
    assert.equal(await redis.client.get(visitor.key), before);
    assert.equal(await call(socket, "get", "user"), "ada");
    const late = await openSocket(t, server, visitor);
    assert.equal(await call(late, "get", "user"), "ada");
    await cure(redis);
    await works(socket);
    assert.deepEqual(await visitor.get(express, "/me"), { user: "ada", after: "the fault" });
  });
}

scenario("what failed to be saved is not seen by other handlers", async (t) => {
  const { redis, express, server } = await startSite(t, PATIENCE);
  const visitor = await loggedIn(express);
  const [one, other] = [await openSocket(t, server, visitor), await openSocket(t, server, visitor, "polling")];
  await redis.client.configSet("min-replicas-to-write", "1");
  await callInVain(one, "set", "user", "mallory");
  for (const socket of [one, other]) assert.equal(await call(socket, "get", "user"), "ada");
  await redis.client.configSet("min-replicas-to-write", "0");
  // Nor does it come along with a later change.
  await works(other);
  assert.deepEqual(await visitor.get(express, "/me"), { user: "ada", after: "the fault" });
});

scenario("a record that was spoilt from outside is nobody's login, and does not break open sockets", async (t) => {
  const { redis, express, server } = await startSite(t, { ...PATIENCE, end: "callback" });
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  for (const record of [
    "",
    "not json",
    "[]",
    '"text"',
    "null",
    "{}",
    '{"cookie":null}',
    '{"cookie":{},',
    "\ufeff{}",
    '{"cookie":{}}x',
    "\0",
  ]) {
    await redis.client.set(visitor.key, record);
    assert.equal(await call(socket, "echo", record), record);
    const answer = await visitor.clone().request(server, "/me");
    // As an error or as another, empty session.
    if (answer.status === 200) assert.deepEqual(await answer.json(), {}, record);
    else assert.ok([500, 503].includes(answer.status), `${record}: ${answer.status}`);
  }
});

scenario("without Redis the server starts, and serves who has no session", waits, async (t) => {
  const { redis, express, server } = await startSite(t, PATIENCE, {
    durable: true,
    through: (redis) => startProxy(t, redis).then((proxy) => (proxy.cut(), proxy)),
  });
  const visitor = await loggedIn(express);
  assert.deepEqual(await handshakes(server, visitor), [503, 503]);
  const stranger = await openSocket(t, server, new Visitor());
  assert.equal(await call(stranger, "get", "user"), null);
  assert.equal(await redis.client.dbSize(), 1);
});
