// Dynamic namespaces: by pattern, by a rule that takes its time, and what becomes of them when they are empty.
import assert from "node:assert/strict";
import { ROUTES, assertOnly, call, connectSocket, inboxOf, manager, socketClient } from "../support/clients.mjs";
import { openWebSocket } from "../support/raw.mjs";
import { next, range, scenario, until } from "../support/scenario.mjs";
import { apiServer } from "../support/target.mjs";

const MEMBER = { auth: { member: "ada" } };

/** Asserts that `namespace` cannot be joined. */
async function assertUnknown(t, server, namespace, options) {
  const socket = socketClient(t, server, options, namespace);
  socket.connect();
  const [error] = await next(socket, "connect_error");
  assert.equal(error.message, "Invalid namespace", namespace);
  assert.equal(socket.active, false);
}

const exists = async (socket, namespace) => (await call(socket, "namespaces")).includes(namespace);

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: a namespace that matches a pattern is made for its first client`, async (t) => {
    const server = await apiServer(t);
    const socket = await connectSocket(t, server, options, "/room-101");
    assert.equal((await server.report("new-namespace")).namespace, "/room-101");
    assert.equal((await server.report("connect", socket.id)).namespace, "/room-101");
    assert.equal(await call(socket, "echo", "served"), "served");
    const other = await connectSocket(t, server, options, "/room-101");
    assert.equal((await call(other, "sockets", {})).length, 2);
    const reports = server.reports.drain().map(({ event }) => event);
    assert.ok(!reports.includes("new-namespace"), "it is made once");
  });

  scenario(`${route}: a rule decides by name and authentication`, async (t) => {
    const server = await apiServer(t);
    const socket = await connectSocket(t, server, { ...options, ...MEMBER }, "/club-chess");
    assert.equal(await call(socket, "echo", "served"), "served");
    await assertUnknown(t, server, "/club-go", options);
  });
}

scenario("what matches nothing cannot be joined", async (t) => {
  const server = await apiServer(t);
  for (const namespace of ["/room-", "/my/room-1", "/room-1/", "/room-1/2", "/Room-1", "/_0", "/nowhere"])
    await assertUnknown(t, server, namespace);
  await assertUnknown(t, server, "/club-chess", { auth: { member: "trouble" } });
  assert.ok(server.reports.drain().every(({ event }) => event !== "new-namespace"));
});

scenario("a refusal leaves the connection and its other namespaces", async (t) => {
  const socket = await openWebSocket(await apiServer(t), { path: "/socket.io/" });
  socket.send("40/club-chess,");
  assert.equal(await socket.inbox.take(), '44/club-chess,{"message":"Invalid namespace"}');
  socket.send('40/club-chess,{"member":"ada"}');
  assert.match(await socket.inbox.take(), /^40\/club-chess,\{"sid":"/);
});

for (const member of ["trouble", undefined]) {
  scenario(`rules are asked in order until one lets in (${member ?? "no member"})`, async (t) => {
    const server = await apiServer(t);
    const socket = await connectSocket(t, server, { auth: { member } }, "/open-house");
    assert.equal(await call(socket, "echo", "served"), "served");
  });
}

scenario("clients that ask for a new namespace at once share it", async (t) => {
  const server = await apiServer(t);
  const auth = { member: "ada", together: 4 };
  const sockets = await Promise.all(range(4).map(() => connectSocket(t, server, { auth }, "/club-chess")));
  const heard = sockets.map((socket) => inboxOf(socket, "heard"));
  await call(sockets[0], "tell", {}, "heard", "all of you");
  for (const [at, socket] of sockets.entries()) await assertOnly(socket, heard[at], [["all of you"]]);
  assert.equal((await call(sockets[0], "sockets", {})).length, 4);
  const made = server.reports.drain().filter(({ event }) => event === "new-namespace");
  assert.equal(made.length, 1);
});

scenario("one client joins many namespaces over one connection", async (t) => {
  const server = await apiServer(t);
  const connection = manager(t, server);
  const names = range(20).map((nth) => `/room-${nth}`);
  const sockets = names.map((name) => connection.socket(name));
  await Promise.all(sockets.map((socket) => next(socket.connect(), "connect")));
  assert.equal(new Set(sockets.map(({ id }) => id)).size, 20);
  assert.deepEqual(await Promise.all(sockets.map((socket, at) => call(socket, "echo", at))), range(20));
  assert.ok((await Promise.all(names.map((name) => exists(sockets[0], name)))).every(Boolean));
});

scenario("rooms and broadcasts of one child do not reach another", async (t) => {
  const server = await apiServer(t);
  const [one, two] = [await connectSocket(t, server, {}, "/room-1"), await connectSocket(t, server, {}, "/room-2")];
  for (const socket of [one, two]) {
    socket.heard = inboxOf(socket, "heard");
    await call(socket, "join", ["corner"]);
  }
  for (const target of [{}, { to: ["corner"] }, { to: [two.id] }]) await call(one, "tell", target, "heard", "in one");
  await assertOnly(two, two.heard, []);
  await assertOnly(one, one.heard, [["in one"], ["in one"]]);
  assert.deepEqual((await call(one, "sockets", {})).map(({ id }) => id), [one.id]);
});

scenario("the middleware of a pattern holds for each of its namespaces", async (t) => {
  const server = await apiServer(t);
  const socket = socketClient(t, server, { auth: { refuse: true } }, "/room-7");
  socket.connect();
  const [error] = await next(socket, "connect_error");
  assert.equal(error.message, "not here");
});

scenario("an empty namespace is removed, and made again for the next client", async (t) => {
  const server = await apiServer(t, { cleanup: true });
  const observer = await connectSocket(t, server);
  for (const _ of [1, 2]) {
    const socket = await connectSocket(t, server, {}, "/room-1");
    const other = await connectSocket(t, server, {}, "/room-1");
    await server.report("new-namespace");
    const { id } = socket;
    socket.disconnect();
    await server.report("disconnect", id);
    assert.equal(await exists(observer, "/room-1"), true);
    assert.equal(await call(other, "echo", "served"), "served");
    other.disconnect();
    await until("removed", async () => !(await exists(observer, "/room-1")));
  }
});

scenario("a namespace whose only client is refused is removed", async (t) => {
  const server = await apiServer(t, { cleanup: true });
  const observer = await connectSocket(t, server);
  const refused = socketClient(t, server, { auth: { refuse: true } }, "/room-1");
  refused.connect();
  await next(refused, "connect_error");
  await until("removed", async () => !(await exists(observer, "/room-1")));
  const socket = await connectSocket(t, server, {}, "/room-1");
  const another = socketClient(t, server, { auth: { refuse: true } }, "/room-1");
  another.connect();
  await next(another, "connect_error");
  assert.equal(await exists(observer, "/room-1"), true);
  assert.equal(await call(socket, "echo", "served"), "served");
});

scenario("an empty namespace stays where it is not told to go", async (t) => {
  const server = await apiServer(t);
  const observer = await connectSocket(t, server);
  const socket = await connectSocket(t, server, {}, "/room-1");
  const refused = socketClient(t, server, { auth: { refuse: true } }, "/room-2");
  refused.connect();
  await next(refused, "connect_error");
  const { id } = socket;
  socket.disconnect();
  await server.report("disconnect", id);
  for (const name of ["/room-1", "/room-2"]) assert.equal(await exists(observer, name), true, name);
});

scenario("a namespace that is not dynamic stays when it is empty", async (t) => {
  const server = await apiServer(t, { cleanup: true });
  const observer = await connectSocket(t, server);
  const socket = await connectSocket(t, server, {}, "/other");
  const { id } = socket;
  socket.disconnect();
  await server.report("disconnect", id);
  assert.equal(await exists(observer, "/other"), true);
  await connectSocket(t, server, {}, "/other");
});

scenario("clients come and go while a namespace is made and removed", async (t) => {
  const server = await apiServer(t, { cleanup: true });
  const observer = await connectSocket(t, server);
  const visit = async () => {
    for (const _ of range(10)) {
      const socket = await connectSocket(t, server, ROUTES.websocket, "/room-1");
      assert.equal(await call(socket, "echo", "served"), "served");
      assert.ok((await call(socket, "sockets", {})).some(({ id }) => id === socket.id), "it is in its namespace");
      socket.disconnect();
    }
  };
  await Promise.all(range(5).map(visit));
  await until("removed", async () => !(await exists(observer, "/room-1")));
});
