// What a client may ask for, and what becomes of it when it asks for more.
import assert from "node:assert/strict";
import { ROUTES, call, connectSocket, inboxOf, manager, socketClient } from "../support/clients.mjs";
import { startProxy } from "../support/proxy.mjs";
import { next, range, scenario } from "../support/scenario.mjs";
import { apiServer, oursAlone } from "../support/target.mjs";

const OURS = oursAlone("has no such limits");

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: events beyond the rate are refused, and told so`, OURS, async (t) => {
    const socket = await connectSocket(t, await apiServer(t, { max_events: 20 }), options);
    const answers = await Promise.all(range(60).map((nth) => call(socket, "echo", nth)));
    const refused = answers.filter((answer) => answer?.error === "too many events");
    assert.ok(refused.length >= 30, `${refused.length} were refused`);
    assert.deepEqual(answers.slice(0, 20), range(20));
    assert.equal(socket.connected, true);
  });

  scenario(`${route}: events beyond the rate close the connection, if that is the policy`, OURS, async (t) => {
    const server = await apiServer(t, { max_events: 20, over_limit: "close" });
    const socket = await connectSocket(t, server, options);
    const { id } = socket;
    const gone = next(socket, "disconnect");
    for (const nth of range(60)) socket.emit("echo", nth);
    assert.match((await gone)[0], /^transport (close|error)$/);
    assert.equal((await server.report("disconnect", id)).reason, "limit exceeded");
  });
}

scenario("the rate of one client is no other's, and is there again later", OURS, async (t) => {
  const server = await apiServer(t, { max_events: 10 });
  const [greedy, modest] = [await connectSocket(t, server), await connectSocket(t, server)];
  await Promise.all(range(50).map((nth) => call(greedy, "echo", nth)));
  assert.equal(await call(modest, "echo", "served"), "served");
  for (const deadline = Date.now() + 10_000; ; ) {
    if ((await call(greedy, "echo", "served")) === "served") break;
    assert.ok(Date.now() < deadline);
  }
});

scenario("questions beyond those that may be open fail at once", OURS, async (t) => {
  const socket = await connectSocket(t, await apiServer(t, { max_pending_acks: 3 }));
  const asked = inboxOf(socket, "question");
  const open = range(3).map((nth) => call(socket, "ask", 5000, nth));
  const acks = (await asked.takeMany(3)).map(([, ack]) => ack);
  assert.equal(await call(socket, "pending"), 3);
  assert.deepEqual(await call(socket, "ask", 5000, "one more"), { failed: "too many answers are waited for" });
  assert.equal(asked.size, 0);
  acks.forEach((ack) => ack("answered"));
  assert.deepEqual(await Promise.all(open), Array(3).fill({ answers: ["answered"] }));
  assert.equal(await call(socket, "pending"), 0);
});

scenario("rooms beyond the limit are not joined", OURS, async (t) => {
  const socket = await connectSocket(t, await apiServer(t, { max_rooms: 3 }));
  await call(socket, "join", ["one", "two", "three", "four", "five"]);
  assert.equal((await call(socket, "rooms")).filter((room) => room !== socket.id).length, 3);
  await call(socket, "leave", "one");
  await call(socket, "join", ["six"]);
  assert.deepEqual(await call(socket, "rooms"), [socket.id, "six", "three", "two"].sort());
});

scenario("a socket that joins too many rooms loses its connection, if that is the policy", OURS, async (t) => {
  const server = await apiServer(t, { max_rooms: 3, over_limit: "close" });
  const socket = await connectSocket(t, server);
  const { id } = socket;
  socket.emit("join", ["one", "two", "three", "four"]);
  assert.equal((await server.report("disconnect", id)).reason, "limit exceeded");
});

scenario("namespaces beyond the limit are refused, the others stay", OURS, async (t) => {
  const server = await apiServer(t, { max_namespaces: 3 });
  const connection = manager(t, server);
  const sockets = range(3).map((nth) => connection.socket(`/room-${nth}`));
  await Promise.all(sockets.map((socket) => next(socket.connect(), "connect")));
  const beyond = connection.socket("/room-3");
  beyond.connect();
  assert.equal((await next(beyond, "connect_error"))[0].message, "too many namespaces");
  for (const socket of sockets) assert.equal(await call(socket, "echo", "served"), "served");
  const { id } = sockets[0];
  sockets[0].disconnect();
  await server.report("disconnect", id);
  await next(beyond.connect(), "connect");
  const another = socketClient(t, server, {}, "/room-0");
  await next(another.connect(), "connect");
});

scenario("a client that does not read loses its connection to broadcasts, the others hear them all", OURS, async (t) => {
  const server = await apiServer(t);
  const proxy = await startProxy(t, server);
  const [slow, ada, ben] = [await connectSocket(t, proxy, ROUTES.websocket), await connectSocket(t, server), await connectSocket(t, server)];
  const heard = inboxOf(ben, "heard");
  const { id } = slow;
  proxy.pause();
  let gone;
  server.report("disconnect", id).then((report) => (gone = report));
  let told = 0;
  for (; !gone && told < 1000; told++) await call(ada, "tell", { others: true }, "heard", "x".repeat(100_000));
  assert.equal(gone?.reason, "slow consumer");
  assert.equal((await heard.takeMany(told)).length, told);
});
