// socket.io-client: namespaces, events, acknowledgements, rooms, broadcast, and how a socket ends.
import assert from "node:assert/strict";
import { ROUTES, call, connectSocket, inboxOf, manager, socketClient } from "../support/clients.mjs";
import { next, range, scenario } from "../support/scenario.mjs";
import { socketServer } from "../support/target.mjs";

const BYTES = Buffer.from([0, 1, 254, 255]);

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: events come back`, async (t) => {
    const socket = await connectSocket(t, await socketServer(t), options);
    const values = ["text", "€😀", 0, -1.5, true, null, [1, [2]], { nested: { list: [{}] } }];
    const echoes = inboxOf(socket, "echo");
    for (const value of values) socket.emit("echo", value);
    assert.deepEqual(await echoes.takeMany(values.length), values.map((value) => [value]));
    const pairs = inboxOf(socket, "pair");
    socket.emit("pair", "one", { two: 2 });
    assert.deepEqual(await pairs.take(), ["one", { two: 2 }]);
  });

  scenario(`${route}: binary comes back, alone and nested`, async (t) => {
    const socket = await connectSocket(t, await socketServer(t), options);
    const binaries = inboxOf(socket, "binary");
    socket.emit("binary", BYTES);
    assert.deepEqual(await binaries.take(), [BYTES]);
    const parcels = inboxOf(socket, "parcel");
    const parcel = { label: "three", parts: [BYTES, Buffer.alloc(0), Buffer.alloc(100_000, 9)] };
    socket.emit("parcel", parcel);
    assert.deepEqual(await parcels.take(), [parcel]);
  });

  scenario(`${route}: acknowledgements from the server, with text and binary`, async (t) => {
    const socket = await connectSocket(t, await socketServer(t), options);
    assert.deepEqual(await call(socket, "echo", { a: 1 }), { a: 1 });
    assert.deepEqual(await call(socket, "binary", BYTES), BYTES);
    const both = await new Promise((resolve) => socket.emit("pair", 1, "two", (...answers) => resolve(answers)));
    assert.deepEqual(both, [1, "two"]);
    const answers = await Promise.all(range(200).map((nth) => call(socket, "echo", nth)));
    assert.deepEqual(answers, range(200));
  });

  scenario(`${route}: acknowledgements from the client, with text and binary`, async (t) => {
    const socket = await connectSocket(t, await socketServer(t), options);
    const answered = inboxOf(socket, "answered");
    socket.on("question", (question, answer) => answer(question));
    socket.emit("ask", { sure: true });
    assert.deepEqual(await answered.take(), [{ sure: true }]);
    socket.emit("ask-binary", BYTES);
    assert.deepEqual(await answered.take(), [BYTES]);
  });

  scenario(`${route}: events keep their order`, async (t) => {
    const socket = await connectSocket(t, await socketServer(t), options);
    const numbers = inboxOf(socket, "number");
    socket.emit("count", 1000);
    assert.deepEqual(await numbers.takeMany(1000), range(1000).map((nth) => [nth]));
    const echoes = inboxOf(socket, "echo");
    for (const nth of range(300)) socket.emit("echo", nth);
    assert.deepEqual(await echoes.takeMany(300), range(300).map((nth) => [nth]));
  });
}

scenario("an acknowledgement that does not come is given up", async (t) => {
  const socket = await connectSocket(t, await socketServer(t));
  const answered = inboxOf(socket, "answered");
  socket.emit("ask-in-vain");
  assert.deepEqual(await answered.take(), ["nothing"]);
});

scenario("the server knows who connected, and the client its id", async (t) => {
  const socket = await connectSocket(t, await socketServer(t), { auth: { user: "ada" }, query: { token: "a b" } });
  assert.deepEqual(await call(socket, "who-am-i"), { id: socket.id, auth: { user: "ada" }, token: "a b" });
  assert.notEqual(socket.id, socket.io.engine.id);
});

scenario("namespaces share a connection and nothing else", async (t) => {
  const server = await socketServer(t);
  const connection = manager(t, server);
  const main = connection.socket("/");
  const admin = connection.socket("/admin", { auth: { role: "admin" } });
  main.connect();
  admin.connect();
  await Promise.all([next(main, "connect"), next(admin, "connect")]);
  assert.notEqual(main.id, admin.id);
  assert.deepEqual((await call(admin, "who-am-i")).auth, { role: "admin" });
  const heard = inboxOf(main, "said");
  inboxOf(admin, "said");
  admin.emit("say-all", "for admins");
  main.emit("say-all", "for everybody");
  assert.deepEqual(await heard.take(), ["for everybody"]);
  admin.disconnect();
  assert.equal((await server.report("disconnect")).reason, "client namespace disconnect");
  assert.equal(await call(main, "echo", "still here"), "still here");
});

scenario("an unknown namespace cannot be joined", async (t) => {
  const socket = socketClient(t, await socketServer(t), {}, "/nowhere");
  socket.connect();
  const [error] = await next(socket, "connect_error");
  assert.equal(error.message, "Invalid namespace");
  assert.equal(socket.active, false);
});

scenario("middleware refuses with message and data, and may let in later", async (t) => {
  const server = await socketServer(t);
  const connection = manager(t, server);
  const socket = connection.socket("/refused", { auth: { token: "stranger" } });
  socket.connect();
  const [error] = await next(socket, "connect_error");
  assert.equal(error.message, "not you");
  assert.deepEqual(error.data, { code: 7 });
  socket.auth = { token: "friend" };
  socket.connect();
  await next(socket, "connect");
  assert.equal(await call(socket, "echo", "in"), "in");
});

/** Connects `count` sockets and gives them with inboxes of what they hear. */
async function audience(t, server, count, namespace) {
  const sockets = await Promise.all(range(count).map(() => connectSocket(t, server, {}, namespace)));
  for (const socket of sockets) socket.heard = inboxOf(socket, "said");
  return sockets;
}

/** Asserts that `socket` heard nothing but `expected`: what comes before an event that it sends to itself. */
async function assertHeard(socket, expected) {
  await call(socket, "echo", "fence");
  assert.deepEqual(await socket.heard.takeMany(socket.heard.size), expected.map((text) => [text]));
}

scenario("rooms are joined and left", async (t) => {
  const socket = await connectSocket(t, await socketServer(t));
  await call(socket, "join", "one").catch(() => {});
  await new Promise((resolve) => socket.emit("join", "two", resolve));
  assert.deepEqual(await call(socket, "rooms"), ["one", "two"]);
  await new Promise((resolve) => socket.emit("leave", "one", resolve));
  assert.deepEqual(await call(socket, "rooms"), ["two"]);
});

scenario("a room hears what is said in it, but for who said it", async (t) => {
  const [ada, ben, cleo] = await audience(t, await socketServer(t), 3);
  await call(ada, "join", "library");
  await call(ben, "join", "library");
  ada.emit("say", "library", "hush");
  await call(ada, "echo", "said");
  await assertHeard(ada, []);
  await assertHeard(ben, ["hush"]);
  await assertHeard(cleo, []);
  await call(ben, "leave", "library");
  cleo.emit("say", "library", "anyone?");
  await call(cleo, "echo", "said");
  await assertHeard(ada, ["anyone?"]);
  await assertHeard(ben, []);
});

scenario("broadcasts reach everyone, everyone else, or everyone outside a room", async (t) => {
  const [ada, ben, cleo] = await audience(t, await socketServer(t), 3);
  await call(cleo, "join", "deaf");
  ada.emit("say-all", "all");
  ada.emit("say-others", "others");
  ada.emit("say-except", "deaf", "hearing");
  await call(ada, "echo", "said");
  await assertHeard(ada, ["all"]);
  await assertHeard(ben, ["all", "others", "hearing"]);
  await assertHeard(cleo, ["all", "others"]);
});

scenario("a broadcast of binary reaches polling and WebSocket alike", async (t) => {
  const server = await socketServer(t);
  const sockets = await Promise.all(Object.values(ROUTES).map((options) => connectSocket(t, server, options)));
  const inboxes = sockets.map((socket) => inboxOf(socket, "said"));
  sockets[0].emit("say-binary", BYTES);
  for (const inbox of inboxes) assert.deepEqual(await inbox.take(), [BYTES]);
});

scenario("a broadcast reaches a crowd of a hundred", async (t) => {
  const sockets = await audience(t, await socketServer(t), 100);
  for (const turn of range(5)) sockets[turn].emit("say-all", `turn ${turn}`);
  for (const { heard } of sockets) {
    const said = (await heard.takeMany(5)).flat().sort();
    assert.deepEqual(said, range(5).map((turn) => `turn ${turn}`));
  }
});

scenario("the client disconnects", async (t) => {
  const server = await socketServer(t);
  const socket = await connectSocket(t, server);
  const { id } = await server.report("connect");
  const ended = next(socket, "disconnect");
  socket.disconnect();
  assert.equal((await ended)[0], "io client disconnect");
  const report = await server.report("disconnect");
  assert.equal(report.id, id);
  assert.match(report.reason, /^(client namespace disconnect|transport close)$/);
});

scenario("the server disconnects the socket, or its connection", async (t) => {
  const server = await socketServer(t);
  for (const event of ["disconnect-me", "close-me"]) {
    const socket = await connectSocket(t, server);
    const ended = next(socket, "disconnect");
    socket.emit(event);
    assert.equal((await ended)[0], "io server disconnect");
    assert.equal((await server.report("disconnect")).reason, "server namespace disconnect");
    assert.equal(socket.active, false);
  }
});

scenario("the same socket connects again, with another id", async (t) => {
  const socket = await connectSocket(t, await socketServer(t));
  const { id } = socket;
  socket.disconnect().connect();
  await next(socket, "connect");
  assert.notEqual(socket.id, id);
  assert.equal(await call(socket, "echo", "again"), "again");
});

scenario("the server shuts down: clients see the transport close", async (t) => {
  const server = await socketServer(t);
  const socket = await connectSocket(t, server, ROUTES.websocket);
  const ended = next(socket, "disconnect");
  server.shutdown();
  assert.equal((await ended)[0], "transport close");
  assert.equal((await server.report("disconnect")).reason, "server shutting down");
});

scenario("a path of one's own", async (t) => {
  const server = await socketServer(t, { path: "/live/" });
  const socket = await connectSocket(t, server, { path: "/live/" });
  assert.equal(await call(socket, "echo", 1), 1);
});
