// Middleware for connections: who may join a namespace, and what happens on the way.
import assert from "node:assert/strict";
import { ROUTES, call, connectSocket, inboxOf, manager, socketClient } from "../support/clients.mjs";
import { openWebSocket } from "../support/raw.mjs";
import { next, range, scenario } from "../support/scenario.mjs";
import { apiServer } from "../support/target.mjs";

const GATE = "/gate";

/** The middlewares that ran for the socket before `until` was reported of it. */
async function middlewaresBefore(server, until) {
  const ran = [];
  for (;;) {
    const report = await server.reports.take();
    if (report.event === "middleware") ran.push(report);
    if (report.event === until) return { ran, report };
  }
}

scenario("middlewares run in order, and the socket is connected after the last", async (t) => {
  const server = await apiServer(t);
  const socket = await connectSocket(t, server, { auth: { name: "ada" } }, GATE);
  const { ran, report } = await middlewaresBefore(server, "connect");
  assert.deepEqual(ran.map(({ nth, connected }) => [nth, connected]), [[1, false], [2, false], [3, false]]);
  assert.ok(ran.every(({ id }) => id === socket.id));
  assert.equal(report.id, socket.id);
  assert.deepEqual((await call(socket, "state")).data, { name: "ada" });
});

for (const [route, options] of Object.entries(ROUTES)) {
  for (const nth of [1, 2, 3]) {
    scenario(`${route}: middleware ${nth} refuses, with data`, async (t) => {
      const server = await apiServer(t);
      const connection = manager(t, server, options);
      const socket = connection.socket(GATE, { auth: { refuse: nth } });
      socket.connect();
      const [error] = await next(socket, "connect_error");
      assert.equal(error.message, `refused by ${nth}`);
      assert.deepEqual(error.data, { nth, why: ["no"] });
      assert.equal(socket.active, false);
      socket.auth = {};
      socket.connect();
      await next(socket, "connect");
      const { ran } = await middlewaresBefore(server, "connect");
      assert.deepEqual(ran.map(({ nth }) => nth), [...range(nth).map((each) => each + 1), 1, 2, 3]);
    });
  }
}

scenario("a refused client is not known in the namespace", async (t) => {
  const server = await apiServer(t);
  const socket = socketClient(t, server, { auth: { refuse: 3, join: "lobby" } }, GATE);
  socket.connect();
  await next(socket, "connect_error");
  const observer = await connectSocket(t, server, {}, GATE);
  assert.deepEqual((await call(observer, "sockets", {})).map(({ id }) => id), [observer.id]);
  assert.deepEqual(await call(observer, "sockets", { to: ["lobby"] }), []);
});

scenario("rooms joined in middleware are left when it refuses", async (t) => {
  const server = await apiServer(t);
  const socket = socketClient(t, server, { auth: { refuse: 2, join: "lobby" } }, GATE);
  socket.connect();
  await next(socket, "connect_error");
  for (const change of ["create-room", "join-room", "leave-room", "delete-room"])
    assert.equal((await server.report(change)).room, "lobby");
});

scenario("rooms joined in middleware are kept when it lets in", async (t) => {
  const socket = await connectSocket(t, await apiServer(t), { auth: { join: "lobby" } }, GATE);
  assert.deepEqual(await call(socket, "rooms"), [socket.id, "lobby"].sort());
});

scenario("a middleware may wait, while others are let in", async (t) => {
  const server = await apiServer(t);
  const waiting = socketClient(t, server, { auth: { wait: 2 } }, GATE);
  const connected = next(waiting.connect(), "connect");
  const { id } = await server.reports.find(({ event, nth }) => event === "middleware" && nth === 2);
  const other = await connectSocket(t, server, {}, GATE);
  assert.equal(waiting.connected, false);
  assert.deepEqual((await call(other, "sockets", {})).map(({ id }) => id), [other.id]);
  other.emit("release");
  await connected;
  assert.equal(waiting.id, id);
});

scenario("nothing is broadcast to a socket that middleware has not let in yet", async (t) => {
  const server = await apiServer(t);
  const waiting = socketClient(t, server, { auth: { wait: 2, join: "lobby" } }, GATE);
  const heard = inboxOf(waiting, "heard");
  const connected = next(waiting.connect(), "connect");
  await server.reports.find(({ event, nth }) => event === "middleware" && nth === 2);
  const other = await connectSocket(t, server, {}, GATE);
  for (const target of [{}, { to: ["lobby"] }]) await call(other, "tell", target, "heard", "too early");
  other.emit("release");
  await connected;
  await call(other, "tell", { to: ["lobby"] }, "heard", "in time");
  assert.deepEqual(await heard.take(), ["in time"]);
  assert.equal(heard.size, 0);
});

scenario("what middleware emits arrives first", async (t) => {
  const socket = socketClient(t, await apiServer(t), { auth: { greet: "welcome" } }, GATE);
  const greetings = inboxOf(socket, "greeting");
  await next(socket.connect(), "connect");
  assert.deepEqual(await greetings.take(), ["welcome"]);
});

for (const [how, leave] of [
  ["closes its connection", (socket) => socket.close()],
  ["breaks off", (socket) => socket.terminate()],
]) {
  scenario(`a client that ${how} while a middleware runs is forgotten`, async (t) => {
    const server = await apiServer(t);
    const socket = await openWebSocket(server, { path: "/socket.io/" });
    socket.send("40");
    const main = await server.report("connect");
    socket.send('40/gate,{"wait":2,"join":"lobby"}');
    const { id } = await server.reports.find(({ event, nth }) => event === "middleware" && nth === 2);
    leave(socket);
    await server.report("disconnect", main.id);
    const other = await connectSocket(t, server, {}, GATE);
    await server.report("connect", other.id);
    other.emit("release");
    const left = await server.reports.find(({ event, room }) => event === "delete-room" && room === "lobby");
    assert.equal(left.namespace, GATE);
    assert.deepEqual((await call(other, "sockets", {})).map(({ id }) => id), [other.id]);
    other.emit("note", "fence");
    await server.report("note");
    const unwanted = server.reports.drain().filter((report) => report.id === id && /connect$/.test(report.event));
    assert.deepEqual(unwanted, []);
  });
}

scenario("two clients wait in one middleware, and each is let in", async (t) => {
  const server = await apiServer(t);
  const sockets = range(5).map(() => socketClient(t, server, { auth: { wait: 3 } }, GATE));
  const connected = Promise.all(sockets.map((socket) => next(socket.connect(), "connect")));
  for (const _ of sockets) await server.reports.find(({ event, nth }) => event === "middleware" && nth === 3);
  (await connectSocket(t, server)).emit("release");
  await connected;
  assert.equal((await call(sockets[0], "sockets", {})).length, 5);
});

scenario("the other namespaces of the connection do not wait for a middleware", async (t) => {
  const server = await apiServer(t);
  const connection = manager(t, server, ROUTES.websocket);
  const waiting = connection.socket(GATE, { auth: { wait: 1 } });
  const connected = next(waiting.connect(), "connect");
  await server.report("middleware");
  const main = connection.socket("/");
  await next(main.connect(), "connect");
  assert.equal(await call(main, "echo", "served"), "served");
  main.emit("release");
  await connected;
});
