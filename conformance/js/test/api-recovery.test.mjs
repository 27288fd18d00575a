// Connection state recovery: a client whose connection broke comes back as who it was and gets what it missed.
import assert from "node:assert/strict";
import { setTimeout as sleep } from "node:timers/promises";
import { ROUTES, assertOnly, call, connectSocket, inboxOf, manager } from "../support/clients.mjs";
import { startProxy } from "../support/proxy.mjs";
import { openWebSocket } from "../support/raw.mjs";
import { next, scenario } from "../support/scenario.mjs";
import { apiServer, oursAlone } from "../support/target.mjs";

const BYTES = Buffer.from([1, 2, 3]);
/** A polling connection that was cut between two polls is missed by the heartbeat alone. */
const SERVER = { recovery: 60_000, ping_interval: 1000, ping_timeout: 1000 };
const CLIENT = { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50 };

/** A server, an observer connected to it, and a socket behind a proxy that has received a first event. */
async function start(t, { server: more, client, namespace } = {}) {
  const server = await apiServer(t, { ...SERVER, ...more });
  const observer = await connectSocket(t, server, ROUTES.websocket, namespace);
  const proxy = await startProxy(t, server);
  const socket = await connectSocket(t, proxy, { ...CLIENT, ...client }, namespace);
  await receiveOne(socket);
  return { server, observer, proxy, socket };
}

/** Recovery starts from the last event that the client has received. */
async function receiveOne(socket) {
  socket.emit("shape", "nothing");
  await next(socket, "shaped");
}

/** Cuts the connection and waits until both sides know. */
async function cut({ server, proxy, socket }) {
  const { id } = socket;
  const gone = next(socket, "disconnect");
  proxy.cut();
  await gone;
  await server.report("disconnect", id);
  return id;
}

/** Lets the client come back and gives the server's report of it. */
async function comeBack({ server, proxy, socket }) {
  const back = next(socket, "connect");
  server.reports.drain();
  proxy.restore();
  await back;
  return server.report("connect", socket.id);
}

/** What came, without the offset that follows it. */
const withoutOffsets = (inbox) => inbox.drain().map(([data]) => data);

for (const [route, client] of Object.entries(ROUTES)) {
  scenario(`${route}: id, rooms and data are kept, missed events come once and in order`, async (t) => {
    const { server, observer, proxy, socket } = await start(t, { client });
    await call(socket, "join", ["red", "blue"]);
    await call(socket, "set-data", { name: "ada", visits: 3 });
    const missed = inboxOf(socket, "missed");
    const id = await cut({ server, proxy, socket });
    await call(observer, "tell", { to: [id] }, "missed", "direct");
    await call(observer, "tell", { to: ["red", "blue"] }, "missed", { room: "red" });
    await call(observer, "tell", { to: ["green"] }, "missed", "another room");
    await call(observer, "tell", {}, "missed", "everybody");
    await call(observer, "tell", { others: true }, "missed", "others");
    await call(observer, "tell", { except: ["blue"] }, "missed", "not blue");
    await call(observer, "tell", { volatile: true }, "missed", "volatile");
    await call(observer, "ask-all", { to: [id], timeout: 50 }, "acknowledged");
    await call(observer, "tell-bytes", { to: ["red"] }, "missed", BYTES);
    assert.equal((await comeBack({ server, proxy, socket })).recovered, true);
    assert.equal(socket.recovered, true);
    assert.equal(socket.id, id);
    const { rooms, data, recovered } = await call(socket, "state");
    assert.deepEqual({ rooms, data, recovered }, {
      rooms: [id, "blue", "red"].sort(),
      data: { name: "ada", visits: 3 },
      recovered: true,
    });
    await call(observer, "tell", { to: ["blue"] }, "missed", "afterwards");
    await call(socket, "echo", "fence");
    assert.deepEqual(withoutOffsets(missed), ["direct", { room: "red" }, "everybody", "others", BYTES, "afterwards"]);
  });

  scenario(`${route}: what was on its way when the connection broke is not lost`, async (t) => {
    const { server, observer, proxy, socket } = await start(t, { client });
    const missed = inboxOf(socket, "missed");
    const { id } = socket;
    for (const nth of [1, 2]) await call(observer, "tell", { to: [id] }, "missed", nth);
    await missed.takeMany(2);
    proxy.silence("down");
    for (const nth of [3, 4]) await call(observer, "tell", { to: [id] }, "missed", nth);
    await cut({ server, proxy, socket });
    for (const nth of [5, 6]) await call(observer, "tell", { to: [id] }, "missed", nth);
    assert.equal((await comeBack({ server, proxy, socket })).recovered, true);
    await call(socket, "echo", "fence");
    assert.deepEqual(withoutOffsets(missed), [3, 4, 5, 6]);
  });
}

scenario("a connection is recovered again and again", async (t) => {
  const all = await start(t);
  const missed = inboxOf(all.socket, "missed");
  const { id } = all.socket;
  for (const turn of [1, 2, 3]) {
    await cut(all);
    await call(all.observer, "tell", {}, "missed", turn);
    assert.equal((await comeBack(all)).recovered, true);
    assert.equal(all.socket.id, id);
    await call(all.socket, "echo", "fence");
    assert.deepEqual(withoutOffsets(missed), [turn]);
  }
});

scenario("what the client emitted meanwhile arrives after it has come back", async (t) => {
  const all = await start(t);
  await cut(all);
  const answer = call(all.socket, "echo", "meanwhile");
  await comeBack(all);
  assert.equal(await answer, "meanwhile");
  assert.equal(all.socket.recovered, true);
});

scenario("sockets of several namespaces are recovered each by itself", async (t) => {
  const server = await apiServer(t, SERVER);
  const observer = await connectSocket(t, server, {}, "/other");
  const proxy = await startProxy(t, server);
  const connection = manager(t, proxy, CLIENT);
  const sockets = ["/", "/other", "/events"].map((namespace) => connection.socket(namespace));
  for (const socket of sockets) await next(socket.connect(), "connect");
  const [main, other, silent] = sockets;
  for (const socket of [main, other]) await receiveOne(socket);
  const ids = sockets.map(({ id }) => id);
  const inboxes = sockets.map((socket) => inboxOf(socket, "missed"));
  proxy.cut();
  for (const id of ids) await server.report("disconnect", id);
  await call(observer, "tell", {}, "missed", "for other");
  const back = Promise.all(sockets.map((socket) => next(socket, "connect")));
  proxy.restore();
  await back;
  assert.deepEqual([main.recovered, main.id], [true, ids[0]]);
  assert.deepEqual([other.recovered, other.id], [true, ids[1]]);
  assert.equal(silent.recovered, false, "it had received nothing to start from");
  assert.notEqual(silent.id, ids[2]);
  for (const socket of sockets) await call(socket, "echo", "fence");
  assert.deepEqual(inboxes.map(withoutOffsets), [[], ["for other"], []]);
});

scenario("after its time a connection is not recovered", async (t) => {
  const all = await start(t, { server: { recovery: 100 } });
  const missed = inboxOf(all.socket, "missed");
  const id = await cut(all);
  await call(all.observer, "tell", {}, "missed", "too late");
  // The time itself is what is asked about.
  await sleep(200);
  assert.equal((await comeBack(all)).recovered, false);
  assert.equal(all.socket.recovered, false);
  assert.notEqual(all.socket.id, id);
  assert.deepEqual((await call(all.socket, "state")).rooms, [all.socket.id]);
  await assertOnly(all.socket, missed, []);
});

for (const [who, leave] of [
  ["the client", (socket) => socket.disconnect()],
  ["the server", (socket) => socket.emit("disconnect-me")],
  ["the server, with the connection,", (socket) => socket.emit("close-me")],
]) {
  scenario(`a socket that ${who} disconnected is not recovered`, async (t) => {
    const { server, observer, socket } = await start(t);
    const missed = inboxOf(socket, "missed");
    const { id } = socket;
    const gone = next(socket, "disconnect");
    leave(socket);
    await gone;
    await server.report("disconnect", id);
    await call(observer, "tell", {}, "missed", "gone");
    await next(socket.connect(), "connect");
    assert.equal(socket.recovered, false);
    assert.notEqual(socket.id, id);
    await assertOnly(socket, missed, []);
  });
}

for (const [who, options, expected] of [
  ["is skipped", {}, []],
  ["runs if it is told to", { recovery_middleware: true }, [1, 2, 3]],
]) {
  scenario(`middleware ${who} when a connection is recovered`, async (t) => {
    const all = await start(t, { server: options, client: { auth: { name: "ada" } }, namespace: "/gate" });
    const id = await cut(all);
    assert.deepEqual((await comeBack(all)).id, id);
    const ran = all.server.reports.drain().filter(({ event }) => event === "middleware");
    assert.deepEqual(ran.map(({ nth }) => nth), expected);
    assert.deepEqual((await call(all.socket, "state")).data, { name: "ada" });
  });
}

scenario("middleware that runs may refuse a connection that would be recovered", async (t) => {
  const all = await start(t, { server: { recovery_middleware: true }, namespace: "/gate" });
  await cut(all);
  all.socket.auth = { refuse: 2 };
  const refused = next(all.socket, "connect_error");
  all.proxy.restore();
  let [error] = await refused;
  while (error.message !== "refused by 2") [error] = await next(all.socket, "connect_error");
  assert.equal(all.socket.active, false);
});

/** Joins by hand on a WebSocket and gives what the server answered; `missed` are the packets before the answer. */
async function join(server, payload) {
  const socket = await openWebSocket(server, { path: "/socket.io/" });
  socket.send(`40${payload ? JSON.stringify(payload) : ""}`);
  const missed = [];
  let packet;
  while (!(packet = await socket.inbox.take()).startsWith("40")) missed.push(packet);
  return { socket, missed, ...JSON.parse(packet.slice(2)) };
}

/** Has the server emit an event and gives its offset. */
async function offset({ socket }) {
  socket.send('42["shape","nothing"]');
  return JSON.parse((await socket.inbox.take()).slice(2))[1];
}

scenario("the secret id for recovery is given where it is enabled", async (t) => {
  const { sid, pid } = await join(await apiServer(t, SERVER));
  assert.match(pid, /^[\w-]{20,}$/);
  assert.notEqual(pid, sid);
  assert.deepEqual(Object.keys(await join(await apiServer(t))), ["socket", "missed", "sid"]);
});

scenario("without recovery events carry no offset", async (t) => {
  const { socket } = await join(await apiServer(t));
  socket.send('42["shape","nothing"]');
  assert.equal(await socket.inbox.take(), '42["shaped"]');
});

for (const [what, change] of [
  ["an unknown offset", ({ pid }) => ({ pid, offset: "unknown" })],
  ["an offset that is no string", ({ pid }) => ({ pid, offset: 7 })],
  ["no offset", ({ pid }) => ({ pid })],
  ["an unknown id", ({ offset }) => ({ pid: "A".repeat(20), offset })],
  ["an id that is no string", ({ offset }) => ({ pid: ["a"], offset })],
]) {
  scenario(`with ${what} a connection is a new one`, async (t) => {
    const server = await apiServer(t, SERVER);
    const first = await join(server);
    const known = { pid: first.pid, offset: await offset(first) };
    first.socket.close();
    await server.report("disconnect", first.sid);
    const second = await join(server, change(known));
    assert.notEqual(second.sid, first.sid);
    assert.notEqual(second.pid, first.pid);
    assert.deepEqual(second.missed, []);
  });
}

scenario("what was missed comes before the connection is confirmed", async (t) => {
  const server = await apiServer(t, SERVER);
  const [first, observer] = [await join(server), await connectSocket(t, server)];
  const known = { pid: first.pid, offset: await offset(first) };
  first.socket.close();
  await server.report("disconnect", first.sid);
  await call(observer, "tell", {}, "missed", 1);
  const second = await join(server, known);
  assert.deepEqual([second.sid, second.pid], [first.sid, first.pid]);
  assert.equal(second.missed.length, 1);
  assert.match(second.missed[0], /^42\["missed",1,"[^"]+"\]$/);
});

scenario("a connection that lives cannot be taken over", async (t) => {
  const server = await apiServer(t, SERVER);
  const first = await join(server);
  const thief = await join(server, { pid: first.pid, offset: await offset(first) });
  assert.notEqual(thief.sid, first.sid);
  assert.notEqual(thief.pid, first.pid);
  first.socket.send('420["echo","mine"]');
  assert.equal(await first.socket.inbox.take(), '430["mine"]');
});

scenario("a connection is recovered by one client alone", oursAlone("gives it to each that asks"), async (t) => {
  const server = await apiServer(t, SERVER);
  const first = await join(server);
  const known = { pid: first.pid, offset: await offset(first) };
  first.socket.close();
  await server.report("disconnect", first.sid);
  const [second, third] = await Promise.all([join(server, known), join(server, known)]);
  assert.equal([second, third].filter(({ sid }) => sid === first.sid).length, 1);
  assert.notEqual(second.pid, third.pid);
});
