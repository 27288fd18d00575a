// The MessagePack parser of npm, on both sides.
import assert from "node:assert/strict";
import * as msgpack from "socket.io-msgpack-parser";
import { ROUTES, assertOnly, call, connectSocket, inboxOf, manager, socketClient, upgraded } from "../support/clients.mjs";
import { startProxy } from "../support/proxy.mjs";
import { openWebSocket } from "../support/raw.mjs";
import { next, range, scenario } from "../support/scenario.mjs";
import { apiServer } from "../support/target.mjs";

const parser = msgpack.default;
const BYTES = Buffer.from([1, 2, 3]);
const start = (t, options) => apiServer(t, { parser: "msgpack", ...options });
const connect = (t, server, options, namespace) => connectSocket(t, server, { ...options, parser }, namespace);

/** Values at the edges of the forms that MessagePack has. */
const EDGES = {
  numbers: [0, 127, 128, 255, 256, 65535, 65536, 2 ** 31, 2 ** 32 - 1, 2 ** 32, 2 ** 53 - 1, -1, -32, -33, -128, -129]
    .concat([-32768, -32769, -(2 ** 31), -(2 ** 31) - 1, -(2 ** 53 - 1), 0.1, -1.5, 1e-300, 5e-324]),
  texts: ["", "€😀\u0000", "x".repeat(31), "x".repeat(32), "x".repeat(255), "é".repeat(128), "x".repeat(65535), "x".repeat(65536)],
  lists: [[], range(15), range(16), range(65535), range(65536)],
  objects: [{}, ...[15, 16, 70_000].map((size) => Object.fromEntries(range(size).map((nth) => [`key ${nth}`, nth])))],
  binaries: [0, 1, 255, 256, 65535, 65536].map((size) => Buffer.alloc(size, 7)),
  others: [null, true, false, { a: [{ b: BYTES }, [BYTES]], num: 0 }],
};

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: values of every form come back`, async (t) => {
    const socket = await connect(t, await start(t, { max_payload: 2_000_000 }), options);
    const echoes = inboxOf(socket, "echo");
    for (const [name, values] of Object.entries(EDGES)) {
      for (const value of values) assert.deepEqual(await call(socket, "echo", value), value, name);
      socket.emit("echo", ...values.slice(0, 4));
      assert.deepEqual(await echoes.take(), values.slice(0, 4), name);
    }
  });

  scenario(`${route}: what the server makes of its own data`, async (t) => {
    const socket = await connect(t, await start(t), options);
    const shaped = inboxOf(socket, "shaped");
    const expected = {
      nothing: [],
      multibyte: ["utf8 — string", "€😀", "\u0000\u2028"],
      values: [null, true, -1.5, 0, "", [], {}],
      bytes: [BYTES],
      "no bytes": [Buffer.alloc(0)],
      "bytes in between": [1, BYTES, "3", { four: [BYTES, null], five: "5" }],
      "many bytes": [Buffer.alloc(500_000, 7)],
    };
    for (const [name, data] of Object.entries(expected)) {
      socket.emit("shape", name);
      assert.deepEqual(await shaped.take(), data, name);
    }
  });

  scenario(`${route}: acknowledgements both ways, with binary`, async (t) => {
    const socket = await connect(t, await start(t), options);
    socket.on("question", (...args) => args.pop()(...args));
    assert.deepEqual(await call(socket, "ask", 10_000, { sure: [true] }), { answers: [{ sure: [true] }] });
    const answers = await new Promise((resolve) => socket.emit("ask-bytes", 10_000, BYTES, (...each) => resolve(each)));
    assert.deepEqual(answers, [BYTES, "and", BYTES]);
    socket.off("question");
    assert.equal((await call(socket, "ask", 50, "in vain")).failed, "operation has timed out");
    assert.equal(await call(socket, "pending"), 0);
  });

  scenario(`${route}: broadcasts, with binary and with acknowledgements`, async (t) => {
    const server = await start(t);
    const [ada, ben] = [await connect(t, server), await connect(t, server, options)];
    const heard = inboxOf(ben, "heard");
    await call(ben, "join", ["red"]);
    await call(ada, "tell", { to: ["red"] }, "heard", { nth: 1 });
    await call(ada, "tell-bytes", { others: true }, "heard", BYTES);
    await call(ada, "tell", { except: ["red"] }, "heard", "never");
    await call(ada, "tell-twice", {}, "heard", BYTES);
    await assertOnly(ben, heard, [[{ nth: 1 }], [BYTES], [1, BYTES], [2, BYTES]]);
    for (const socket of [ada, ben]) socket.on("question", (bytes, ack) => ack(bytes));
    const { answers, failed } = await call(ada, "ask-all-bytes", { timeout: 10_000 }, BYTES);
    assert.deepEqual([answers, failed], [[BYTES, BYTES], false]);
  });

  scenario(`${route}: a broken connection is recovered`, async (t) => {
    const server = await start(t, { recovery: 60_000, ping_interval: 1000, ping_timeout: 1000 });
    const observer = await connect(t, server);
    const proxy = await startProxy(t, server);
    const reconnecting = { ...options, reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50 };
    const socket = await connect(t, proxy, reconnecting);
    const { id } = socket;
    const missed = inboxOf(socket, "missed");
    await call(observer, "tell", { to: [id] }, "missed", 1);
    await missed.take();
    const gone = next(socket, "disconnect");
    proxy.cut();
    await gone;
    await server.report("disconnect", id);
    await call(observer, "tell", {}, "missed", 2);
    await call(observer, "tell-bytes", { to: [id] }, "missed", BYTES);
    const back = next(socket, "connect");
    proxy.restore();
    await back;
    assert.deepEqual([socket.recovered, socket.id], [true, id]);
    await call(socket, "echo", "fence");
    assert.deepEqual(missed.drain().map(([data]) => data), [2, BYTES]);
  });
}

scenario("`undefined` and dates of the client arrive as something like it", async (t) => {
  const socket = await connect(t, await start(t));
  assert.equal((await call(socket, "echo", undefined)) ?? "nothing", "nothing");
  assert.equal(new Date(await call(socket, "echo", new Date(86_400_000))).getTime(), 86_400_000);
});

scenario("namespaces, authentication and refusals", async (t) => {
  const server = await start(t);
  const connection = manager(t, server, { parser });
  const main = connection.socket("/", { auth: { user: "ada" } });
  const room = connection.socket("/room-1");
  for (const socket of [main, room]) await next(socket.connect(), "connect");
  assert.deepEqual((await call(main, "handshake")).auth, { user: "ada" });
  assert.equal(await call(room, "echo", "in the room"), "in the room");
  const refused = socketClient(t, server, { parser, auth: { refuse: 2 } }, "/gate");
  refused.connect();
  const [error] = await next(refused, "connect_error");
  assert.deepEqual([error.message, error.data], ["refused by 2", { nth: 2, why: ["no"] }]);
  const unknown = socketClient(t, server, { parser }, "/nowhere");
  unknown.connect();
  assert.equal((await next(unknown, "connect_error"))[0].message, "Invalid namespace");
});

scenario("disconnections, from either side", async (t) => {
  const server = await start(t);
  const connection = manager(t, server, { parser });
  const [main, other] = ["/", "/other"].map((namespace) => connection.socket(namespace));
  for (const socket of [main, other]) await next(socket.connect(), "connect");
  const { id } = other;
  other.disconnect();
  assert.equal((await server.report("disconnect", id)).reason, "client namespace disconnect");
  const gone = next(main, "disconnect");
  main.emit("disconnect-me");
  assert.equal((await gone)[0], "io server disconnect");
});

scenario("of consecutive volatile events the first arrives", async (t) => {
  const socket = await connect(t, await start(t), ROUTES.websocket);
  await upgraded(socket);
  const heard = inboxOf(socket, "heard");
  await call(socket, "emit-each", range(3).map(() => ({ event: "heard", volatile: true, bytes: true })));
  await assertOnly(socket, heard, [[BYTES]]);
});

scenario("middleware and catch-all handlers see the events", async (t) => {
  const server = await start(t);
  const socket = await connect(t, server, {}, "/events");
  assert.equal(await call(socket, "shout", "hello"), "HELLO");
  socket.emit("shape", "bytes");
  assert.equal((await server.report("outgoing", socket.id)).name, "shaped");
  const incoming = await server.report("incoming", socket.id);
  assert.deepEqual([incoming.name, incoming.data], ["shout", "hello"]);
});

/** A WebSocket by hand that has joined the main namespace. */
async function joined(t) {
  const server = await start(t);
  const socket = await openWebSocket(server, { path: "/socket.io/" });
  const encode = (packet) => new parser.Encoder().encode(packet)[0];
  socket.send(encode({ type: 0, nsp: "/" }));
  const { type, nsp, data } = decode(await socket.inbox.take());
  assert.deepEqual([type, nsp, typeof data.sid], [0, "/", "string"]);
  return { server, socket, encode };
}

function decode(message) {
  let packet;
  const decoder = new parser.Decoder();
  decoder.on("decoded", (decoded) => (packet = decoded));
  decoder.add(message);
  return packet;
}

scenario("each packet is one binary message", async (t) => {
  const { socket, encode } = await joined(t);
  socket.send(encode({ type: 2, nsp: "/", id: 7, data: ["echo", BYTES, { deep: BYTES }] }));
  const { type, id, nsp, data } = decode(await socket.inbox.take());
  assert.deepEqual([type, id, nsp, data], [3, 7, "/", [BYTES, { deep: BYTES }]]);
  assert.equal(socket.inbox.size, 0);
});

for (const [name, message] of [
  ["text", () => '42["echo"]'],
  ["a truncated packet", (encode) => encode({ type: 2, nsp: "/", data: ["echo", "x".repeat(100)] }).subarray(0, 40)],
  ["a packet type without meaning", (encode) => encode({ type: 9, nsp: "/", data: ["echo"] })],
  ["a packet without a namespace", (encode) => encode({ type: 2, data: ["echo"] })],
  ["a payload that is no list", (encode) => encode({ type: 2, nsp: "/", data: {} })],
  ["an acknowledgement id that is no number", (encode) => encode({ type: 2, nsp: "/", id: "7", data: ["echo"] })],
  ["a namespace that was not joined", (encode) => encode({ type: 2, nsp: "/other", data: ["echo"] })],
]) {
  scenario(`${name} closes the connection`, async (t) => {
    const { server, socket, encode } = await joined(t);
    socket.send(message(encode));
    await socket.closed();
    assert.match((await server.report("disconnect")).reason, /^forced close$/);
  });
}
