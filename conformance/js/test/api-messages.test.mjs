// Whatever an event may carry, in both directions.
import assert from "node:assert/strict";
import { ROUTES, assertOnly, call, connectSocket, inboxOf } from "../support/clients.mjs";
import { Polling, openWebSocket } from "../support/raw.mjs";
import { next, scenario } from "../support/scenario.mjs";
import { apiServer } from "../support/target.mjs";

const BYTES = Buffer.from([1, 2, 3]);

/** What the server sends for each name. */
const SHAPES = {
  nothing: [],
  text: ["plain"],
  multibyte: ["utf8 — string", "€😀", "\u0000\u2028"],
  values: [null, true, -1.5, 0, "", [], {}],
  several: [1, "2", { 3: ["4"] }],
  date: [{ at: "1970-01-01T00:00:00.000Z" }],
  bytes: [BYTES],
  "no bytes": [Buffer.alloc(0)],
  "bytes in between": [1, BYTES, "3", { four: [BYTES, null], five: "5" }],
  "a big text": ["x".repeat(500_000)],
  "a big object": [{ list: Array.from({ length: 20_000 }, (_, nth) => ({ nth, name: `item ${nth}` })) }],
  "many bytes": [Buffer.alloc(500_000, 7)],
};

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: events of every shape from the server`, async (t) => {
    const socket = await connectSocket(t, await apiServer(t), options);
    const shaped = inboxOf(socket, "shaped");
    for (const [name, expected] of Object.entries(SHAPES)) {
      socket.emit("shape", name);
      assert.deepEqual(await shaped.take(), expected, name);
    }
  });

  scenario(`${route}: events of every shape to the server and back`, async (t) => {
    const socket = await connectSocket(t, await apiServer(t), options);
    const echoes = inboxOf(socket, "echo");
    for (const [name, data] of Object.entries(SHAPES)) {
      socket.emit("echo", ...data);
      assert.deepEqual(await echoes.take(), data, name);
    }
  });

  scenario(`${route}: shapes mixed in one burst keep their order`, async (t) => {
    const socket = await connectSocket(t, await apiServer(t), options);
    const echoes = inboxOf(socket, "echo");
    const shapes = Object.values(SHAPES).filter((data) => JSON.stringify(data).length < 1000);
    const burst = [...shapes, ...shapes.toReversed(), ...shapes];
    for (const data of burst) socket.emit("echo", ...data);
    assert.deepEqual(await echoes.takeMany(burst.length), burst);
  });
}

scenario("a date arrives as text, and `undefined` as null", async (t) => {
  const socket = await connectSocket(t, await apiServer(t));
  assert.equal(await call(socket, "echo", new Date(0)), "1970-01-01T00:00:00.000Z");
  const echoes = inboxOf(socket, "echo");
  socket.emit("echo", undefined, { gone: undefined }, NaN);
  assert.deepEqual(await echoes.take(), [null, {}, null]);
});

for (const name of ["message", "connection", "__proto__", "hasOwnProperty", "", "€ 😀"]) {
  scenario(`an event may be called ${JSON.stringify(name)}`, async (t) => {
    const socket = await connectSocket(t, await apiServer(t));
    assert.equal(await call(socket, name, "data"), "data");
    const heard = inboxOf(socket, name);
    socket.emit(name, "more");
    assert.deepEqual(await heard.take(), ["more"]);
  });
}

for (const name of ["error", "toString", "constructor", "new_namespace"]) {
  scenario(`an event called ${JSON.stringify(name)} that nobody handles does no harm`, async (t) => {
    const socket = await connectSocket(t, await apiServer(t));
    socket.emit(name, "data");
    assert.equal(await call(socket, "echo", "served"), "served");
  });
}

scenario("`send` is an event called message, both ways", async (t) => {
  const server = await apiServer(t);
  const socket = await connectSocket(t, server);
  const messages = inboxOf(socket, "message");
  socket.send("a", { b: 1 });
  assert.deepEqual(await messages.take(), ["a", { b: 1 }]);
  socket.send(null);
  assert.deepEqual(await messages.take(), [null]);
  socket.emit("say-message", "from the server");
  assert.deepEqual(await messages.take(), ["from the server"]);
});

scenario("the server may not send events that the protocol keeps for itself", async (t) => {
  const socket = await connectSocket(t, await apiServer(t));
  for (const name of ["connect", "connect_error", "disconnect", "disconnecting", "newListener", "removeListener"])
    assert.equal(await call(socket, "reserved", name), "refused", name);
  assert.equal(await call(socket, "reserved", "error"), "sent");
});

scenario("an event that is not to be compressed arrives", async (t) => {
  const socket = await connectSocket(t, await apiServer(t), ROUTES.websocket);
  const shaped = inboxOf(socket, "shaped");
  socket.emit("uncompressed", "x".repeat(5000));
  assert.deepEqual(await shaped.take(), ["x".repeat(5000)]);
  await call(socket, "tell", { compress: false }, "shaped", "to all");
  assert.deepEqual(await shaped.take(), ["to all"]);
  socket.compress(false).emit("echo", "from the client");
  assert.deepEqual(await next(socket, "echo"), ["from the client"]);
});

scenario("what is emitted before the connection stands is sent once, when it does", async (t) => {
  const server = await apiServer(t);
  const first = await connectSocket(t, server, { reconnection: true, reconnectionDelay: 10 });
  const echoes = inboxOf(first, "echo");
  first.disconnect();
  for (const nth of [1, 2, 3]) first.emit("echo", nth);
  first.connect();
  await next(first, "connect");
  await assertOnly(first, echoes, [[1], [2], [3]]);
});

scenario("packets that follow a disconnection in the same batch are ignored", async (t) => {
  const server = await apiServer(t);
  const polling = await Polling.open(server, { path: "/socket.io/" });
  const webSocket = await openWebSocket(server, { path: "/socket.io/" });
  await polling.push("40");
  webSocket.send("40");
  await Promise.all([polling.packets(1), webSocket.inbox.take()]);
  const batch = ['42["disconnect-me"]', '42["note","too late"]'];
  await polling.push(batch.join("\x1e"));
  for (const packet of batch) webSocket.send(packet);
  for (const _ of [1, 2]) await server.report("disconnect");
  const other = await connectSocket(t, server);
  other.emit("note", "in time");
  assert.equal((await server.report("note")).value, "in time");
});

scenario("the same batch may hold events, acknowledgements and binary of several namespaces", async (t) => {
  const polling = await Polling.open(await apiServer(t), { path: "/socket.io/" });
  await polling.push("40\x1e40/other,");
  await polling.packets(2);
  await polling.push(
    ['420["echo",1]', '451-["echo",{"_placeholder":true,"num":0}]', "bAQID", '42/other,5["echo","two"]'].join("\x1e"),
  );
  assert.deepEqual(await polling.packets(4), [
    "430[1]",
    '451-["echo",{"_placeholder":true,"num":0}]',
    "bAQID",
    '43/other,5["two"]',
  ]);
});
