// The official Socket.IO server with all that an application can ask of it, commanded by events; its twin is
// `src/bin/api_server.rs`.
//
// Arguments as in `engine.mjs`, and connect_timeout (ms), parser (`msgpack`), recovery (ms), recovery_middleware (`true`:
// it decides about recovered sockets too), cleanup (`true`: empty children of dynamic namespaces are removed).
// Namespaces: `/` and `/other` do the same; `/gate` has middleware for connections, `/events` for events; `/room-<n>`
// exists by pattern, `/club-<name>` for members, `/open-<name>` by a pattern that is asked last.
import { createServer } from "node:http";
import { setImmediate } from "node:timers/promises";
import { Server } from "socket.io";
import * as msgpack from "socket.io-msgpack-parser";
import { engineOptions, readOptions, report, serveStandardInput } from "./options.mjs";

const given = readOptions();
const http = createServer((_, response) => response.writeHead(404).end());
const io = new Server(http, {
  ...engineOptions(given),
  path: given.path ?? "/socket.io/",
  connectTimeout: given.connect_timeout ? Number(given.connect_timeout) : undefined,
  serveClient: false,
  ...(given.parser === "msgpack" && { parser: msgpack.default }),
  connectionStateRecovery: given.recovery && {
    maxDisconnectionDuration: Number(given.recovery),
    skipMiddlewares: given.recovery_middleware !== "true",
  },
  cleanupEmptyChildNamespaces: given.cleanup === "true",
});
const BYTES = Buffer.from([1, 2, 3]);

/** What waits for somebody to say `release`. */
const held = [];
const release = () => held.splice(0).forEach((resume) => resume());
const released = () => new Promise((resolve) => held.push(resolve));

/** Tells of the socket's life. */
function lifecycle(socket) {
  const { id, nsp, conn } = socket;
  const tell = (event, fields) => report(event, { id, namespace: nsp.name, ...fields });
  tell("connect", { recovered: socket.recovered, transport: conn.transport.name });
  conn.setMaxListeners(0);
  conn.once("upgrade", (transport) => tell("upgrade", { transport: transport.name }));
  socket.on("disconnecting", (reason) => tell("disconnecting", { reason, rooms: [...socket.rooms].sort() }));
  socket.on("disconnect", (reason) => {
    socket.join("late");
    tell("disconnect", { reason, rooms: [...socket.rooms] });
  });
  socket.on("disconnect-me", () => socket.disconnect());
  socket.on("close-me", () => socket.disconnect(true));
}

/** What the socket is, and what its client said when it came. */
function description(socket) {
  socket.on("state", (ack) =>
    ack({ ...describe(socket), recovered: socket.recovered, transport: socket.conn.transport.name }),
  );
  socket.on("set-data", (data, ack) => ack((socket.data = data)));
  socket.on("handshake", (ack) => {
    const { headers, time, address, secure, xdomain, url, query, auth, issued } = socket.handshake;
    ack({ headers, time, address, secure, xdomain, url, query, auth, issued });
  });
}

const describe = ({ id, rooms, data, handshake: { auth, url } }) => ({ id, rooms: [...rooms].sort(), data, auth, url });

/** What a client can be sent, by name. */
const SHAPES = {
  nothing: [],
  text: ["plain"],
  multibyte: ["utf8 — string", "€😀", "\u0000\u2028"],
  values: [null, true, -1.5, 0, "", [], {}],
  several: [1, "2", { 3: ["4"] }],
  date: [{ at: new Date(0) }],
  bytes: [BYTES],
  "no bytes": [Buffer.alloc(0)],
  "bytes in between": [1, BYTES, "3", { four: [BYTES, null], five: "5" }],
  "a big text": ["x".repeat(500_000)],
  "a big object": [{ list: Array.from({ length: 20_000 }, (_, nth) => ({ nth, name: `item ${nth}` })) }],
  "many bytes": [Buffer.alloc(500_000, 7)],
};

function messages(socket) {
  for (const name of ["echo", "message", "connection", "__proto__", "hasOwnProperty", "", "€ 😀"]) {
    socket.on(name, (...data) => {
      if (typeof data.at(-1) === "function") data.at(-1)(...data.slice(0, -1));
      else socket.emit(name, ...data);
    });
  }
  socket.on("note", (value) => report("note", { value }));
  socket.on("shape", (name) => socket.emit("shaped", ...SHAPES[name]));
  socket.on("say-message", (text) => socket.send(text));
  socket.on("uncompressed", (data) => socket.compress(false).emit("shaped", data));
  socket.on("reserved", (name, ack) => {
    try {
      socket.emit(name);
      ack("sent");
    } catch {
      ack("refused");
    }
  });
  // Emits in one go; `{bytes: true}` sends binary, `{volatile: true}` what may be lost.
  socket.on("emit-each", (list, ack) => {
    for (const { event, volatile, bytes } of list) (volatile ? socket.volatile : socket).emit(event, bytes ? BYTES : null);
    ack?.();
  });
}

function acknowledgements(socket) {
  socket.on("answer", (...args) => args.pop()(...args));
  socket.on("answer-twice", (ack) => (ack(1), ack(2)));
  socket.on("answer-later", async (value, ack) => (await released(), ack(value)));
  socket.on("never", () => {});
  socket.on("release", release);
  const ask = (patience, args, ack) =>
    socket.timeout(patience).emit("question", ...args, (error, ...answers) =>
      ack?.(error ? { failed: error.message } : { answers }),
    );
  socket.on("ask", (patience, question, ack) => ask(patience, [question], ack));
  socket.on("ask-bytes", (patience, bytes, ack) => ask(patience, [bytes, "and", bytes], (answer) => ack(...answer.answers)));
  socket.on("pending", (ack) => ack(socket.acks.size));
}

/** The sockets that a client's `target` means; without rooms everybody, `others` leaves out the client. */
function select(socket, { others = false, to = [], except = [], local, volatile, compress, timeout }) {
  let chosen = (others ? socket.broadcast : socket.nsp.to([])).to(to).except(except);
  if (local) chosen = chosen.local;
  if (volatile) chosen = chosen.volatile;
  if (compress !== undefined) chosen = chosen.compress(compress);
  if (timeout) chosen = chosen.timeout(timeout);
  return chosen;
}

function broadcasts(socket) {
  for (const name of ["tell", "tell-bytes"])
    socket.on(name, (target, event, data, ack) => (select(socket, target).emit(event, data), ack?.()));
  socket.on("tell-twice", (target, event, bytes, ack) => {
    const chosen = select(socket, target);
    for (const nth of [1, 2]) chosen.emit(event, nth, bytes);
    ack();
  });
  for (const name of ["ask-all", "ask-all-bytes"])
    socket.on(name, (target, question, ack) =>
      select(socket, target).emit("question", question, (error, answers) => ack({ answers, failed: Boolean(error) })),
    );
  socket.on("sockets", async (target, ack) => ack((await select(socket, target).fetchSockets()).map(describe)));
  socket.on("sockets-join", (target, rooms, ack) => (select(socket, target).socketsJoin(rooms), ack()));
  socket.on("sockets-leave", (target, rooms, ack) => (select(socket, target).socketsLeave(rooms), ack()));
  socket.on("disconnect-sockets", (target, close) => select(socket, target).disconnectSockets(close));
}

function rooms(socket) {
  socket.on("join", (rooms, ack) => (socket.join(rooms), ack()));
  socket.on("leave", (room, ack) => (socket.leave(room), ack()));
  socket.on("rooms", (ack) => ack([...socket.rooms].sort()));
}

/** Handlers that wait now and then, and much at once. */
function order(socket) {
  const log = [];
  socket.on("step", async (nth) => {
    log.push(`${nth} starts`);
    if (nth % 7 === 0) await setImmediate();
    log.push(`${nth} ends`);
  });
  socket.on("log", (ack) => ack(log));
  socket.on("burst", (count, size) => {
    const filling = "x".repeat(size);
    for (let nth = 0; nth < count; nth++) socket.emit("number", nth, filling);
  });
}

function serve(socket) {
  for (const group of [lifecycle, description, messages, acknowledgements, broadcasts, rooms, order]) group(socket);
  socket.on("namespaces", (ack) => ack([...io._nsps.keys()].sort()));
}

/** Three middlewares for connections; the client says where to wait, to be refused, and more. */
function gate(namespace) {
  for (const nth of [1, 2, 3]) {
    namespace.use(async (socket, next) => {
      const { name, join, wait, refuse, greet } = socket.handshake.auth;
      report("middleware", { nth, id: socket.id, connected: socket.connected });
      if (nth === 1 && name) socket.data = { name };
      if (nth === 1 && join) socket.join(join);
      if (nth === 1 && greet) socket.emit("greeting", greet);
      if (wait === nth) await released();
      if (refuse === nth) next(Object.assign(new Error(`refused by ${nth}`), { data: { nth, why: ["no"] } }));
      else next();
    });
  }
}

/** Middleware for events, catch-all handlers, and several handlers of one event. */
function events(socket) {
  const { id } = socket;
  socket.onAny((name, ...args) => report("incoming", { id, name, data: args[0] }));
  socket.onAnyOutgoing((name) => report("outgoing", { id, name }));
  socket.onAny((name) => socket.listenerCount(name) || report("unknown", { id, name }));
  socket.use((event, next) => {
    report("event-middleware", { id, nth: 1, name: event[0] });
    if (event[0] === "shout") event[1] = event[1].toUpperCase();
    next();
  });
  socket.use((event, next) => {
    report("event-middleware", { id, nth: 2, name: event[0] });
    next(event[0] === "forbidden" ? new Error("forbidden to you") : undefined);
  });
  socket.on("error", ({ message }) => report("refused-event", { id, message }));
  socket.on("shout", (text, ack) => ack(text));
  socket.on("forbidden", () => report("note", { value: "forbidden was handled" }));
  for (const nth of [1, 2]) socket.on("many", () => report("handler", { id, nth }));
  socket.once("once", () => report("handler", { id, nth: "once" }));
}

/** Members are let in once as many of them have asked as they say that they will be. */
async function decideOnMember(name, { member, together = 1 }, next) {
  if (!/^\/(club|open)-/.test(name) || !member) return next(null, false);
  if (member === "trouble") return next(new Error("the list of members is lost"));
  const waiting = released();
  if (held.length >= together) release();
  await waiting;
  next(null, true);
}

for (const name of ["/", "/other", "/gate", "/events"]) {
  const { adapter } = io.of(name);
  for (const change of ["create-room", "join-room", "leave-room", "delete-room"])
    adapter.on(change, (room, id) => report(change, { namespace: name, room, id }));
}
gate(io.of("/gate"));
io.of("/events").on("connection", events);
const dynamic = [io.of(/^\/room-[^/]+$/), io.of(decideOnMember), io.of(/^\/open-[^/]+$/)];
dynamic[0].use((socket, next) => next(socket.handshake.auth.refuse ? new Error("not here") : undefined));
for (const namespace of [...["/", "/other", "/gate", "/events"].map((name) => io.of(name)), ...dynamic])
  namespace.on("connection", serve);
io.on("new_namespace", ({ name }) => report("new-namespace", { namespace: name }));

http.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${http.address().port}`));
serveStandardInput(() => io.close());
