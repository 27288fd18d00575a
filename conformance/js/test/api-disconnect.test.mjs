// Why a socket ended, as each side is told.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { ROUTES, call, connectSocket, manager } from "../support/clients.mjs";
import { startProxy } from "../support/proxy.mjs";
import { Polling, openWebSocket } from "../support/raw.mjs";
import { next, range, scenario } from "../support/scenario.mjs";
import { apiServer, oursAlone } from "../support/target.mjs";

const PATH = { path: "/socket.io/" };
const HEARTBEAT = { ping_interval: 200, ping_timeout: 300 };

/** Asserts the reason that the server gives, and that of the client where there is one. */
async function assertReasons(server, { id, gone }, onServer, onClient) {
  assert.match((await server.report("disconnect", id)).reason, onServer);
  if (onClient) assert.match((await gone)[0], onClient);
}

/** A socket of the official client, whose id and end are kept. */
async function open(t, server, options, namespace) {
  const socket = await connectSocket(t, server, options, namespace);
  return { socket, id: socket.id, gone: next(socket, "disconnect") };
}

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: the client ends the connection below`, async (t) => {
    const server = await apiServer(t);
    const end = await open(t, server, options);
    end.socket.io.engine.close();
    await assertReasons(server, end, /^transport close$/, /^forced close$/);
  });

  scenario(`${route}: the network breaks`, async (t) => {
    const server = await apiServer(t, HEARTBEAT);
    const proxy = await startProxy(t, server);
    const end = await open(t, proxy, options);
    proxy.cut();
    await assertReasons(server, end, /^(transport (close|error)|ping timeout)$/, /^transport (close|error)$/);
  });

  scenario(`${route}: the network falls silent`, async (t) => {
    const server = await apiServer(t, HEARTBEAT);
    const proxy = await startProxy(t, server);
    const end = await open(t, proxy, options);
    proxy.silence("up");
    proxy.silence("down");
    await assertReasons(server, end, /^ping timeout$/, /^ping timeout$/);
  });

  scenario(`${route}: the client leaves one namespace, then the last`, async (t) => {
    const server = await apiServer(t);
    const connection = manager(t, server, options);
    const sockets = ["/", "/other"].map((namespace) => connection.socket(namespace));
    for (const socket of sockets) await next(socket.connect(), "connect");
    const ends = sockets.map((socket) => ({ socket, id: socket.id, gone: next(socket, "disconnect") }));
    sockets[0].disconnect();
    await assertReasons(server, ends[0], /^client namespace disconnect$/, /^io client disconnect$/);
    assert.equal(await call(sockets[1], "echo", "still here"), "still here");
    sockets[1].disconnect();
    await assertReasons(server, ends[1], /^(client namespace disconnect|transport close)$/, /^io client disconnect$/);
  });

  scenario(`${route}: the server ends all namespaces of a connection`, async (t) => {
    const server = await apiServer(t);
    const connection = manager(t, server, options);
    const sockets = ["/", "/other", "/room-1"].map((namespace) => connection.socket(namespace));
    for (const socket of sockets) await next(socket.connect(), "connect");
    const ends = sockets.map((socket) => ({ socket, id: socket.id, gone: next(socket, "disconnect") }));
    sockets[1].emit("close-me");
    for (const end of ends) await assertReasons(server, end, /^server namespace disconnect$/, /^io server disconnect$/);
    assert.equal(sockets.some(({ active }) => active), false);
  });

  scenario(`${route}: the server shuts down`, async (t) => {
    const server = await apiServer(t);
    const ends = await Promise.all(range(5).map(() => open(t, server, options)));
    server.shutdown();
    for (const end of ends) await assertReasons(server, end, /^server shutting down$/, /^transport (close|error)$/);
  });
}

scenario("the server dies: the client knows, and comes back to the next one", async (t) => {
  const first = await apiServer(t);
  const proxy = await startProxy(t, first);
  const socket = await connectSocket(t, proxy, { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50 });
  let connections = 0;
  socket.on("connect", () => connections++);
  const gone = next(socket, "disconnect");
  await first.stop();
  assert.match((await gone)[0], /^transport (close|error)$/);
  const back = next(socket, "connect");
  const second = await apiServer(t);
  proxy.targetPort = second.port;
  await back;
  assert.equal(await call(socket, "echo", "again"), "again");
  assert.equal(connections, 1);
  assert.equal((await second.report("connect")).id, socket.id);
});

/** A connection by hand that has joined the main namespace. */
async function joined(t, open) {
  const server = await apiServer(t);
  const connection = await open(server, PATH);
  if (connection instanceof Polling) await connection.push("40").then(() => connection.packets(1));
  else connection.send("40"), await connection.inbox.take();
  const { id } = await server.report("connect");
  return { server, connection, id };
}

for (const [how, leave] of [["closes", "close"], ["breaks off", "terminate"]]) {
  scenario(`the WebSocket ${how}`, async (t) => {
    const { server, connection, id } = await joined(t, openWebSocket);
    connection[leave]();
    await assertReasons(server, { id }, /^transport close$/);
  });
}

scenario("a packet that is none of Engine.IO", async (t) => {
  const { server, connection, id } = await joined(t, openWebSocket);
  connection.send("9");
  await assertReasons(server, { id }, /^parse error$/);
});

scenario("a packet that is none of Socket.IO", async (t) => {
  const { server, connection, id } = await joined(t, openWebSocket);
  connection.send("4none");
  await assertReasons(server, { id }, /^forced close$/);
});

scenario("an event for a namespace that was not joined", async (t) => {
  for (const way of [openWebSocket, Polling.open]) {
    const { server, connection, id } = await joined(t, way);
    if (connection instanceof Polling) await connection.push('42/other,["echo"]');
    else connection.send('42/other,["echo"]');
    await assertReasons(server, { id }, /^forced (server )?close$/);
  }
});

scenario("two polls at once", async (t) => {
  const { server, connection, id } = await joined(t, Polling.open);
  const polls = [connection.get(), connection.get()];
  await Promise.allSettled(polls);
  await assertReasons(server, { id }, /^transport error$/);
});

scenario("a poll that is broken off", async (t) => {
  const { server, connection, id } = await joined(t, Polling.open);
  const { pathname, search } = new URL(connection.url);
  const poll = connect(server.port, "127.0.0.1");
  // The end follows the request, so that the server knows of both.
  poll.write(`GET ${pathname}${search} HTTP/1.1\r\nHost: localhost\r\n\r\n`, () => poll.destroy());
  await assertReasons(server, { id }, /^transport (error|close)$/);
});

scenario("the server drains: clients go one after the other, and are served until then", oursAlone("has no such thing"), async (t) => {
  const server = await apiServer(t);
  const ends = await Promise.all(range(10).map(() => open(t, server, ROUTES.websocket)));
  const times = ends.map(({ gone }) => gone.then(() => Date.now()));
  const started = Date.now();
  server.drain(1000);
  const first = await Promise.race(times);
  const last = Math.max(...(await Promise.all(times)));
  assert.ok(last - first >= 300, `they went within ${last - first} ms`);
  assert.ok(last - started < 10_000);
  for (const end of ends) await assertReasons(server, end, /^server shutting down$/, /^transport close$/);
});
