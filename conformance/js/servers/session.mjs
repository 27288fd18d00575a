// The official Socket.IO server beside an Express application, in the configuration of its website's how-to: express-session
// with connect-redis as middleware of the engine, handlers that read the session again, change it and save it. Its twin is
// `src/bin/session_server.rs`. Both keep this contract; what only ours can do is marked so.
//
// Arguments, `name=value`, those of `engine.mjs` and:
//   redis (URL), prefix (sess:), secret (keyboard cat; a list with commas, the first signs), max_age (ms; none),
//   rolling, save_uninitialized (here true, ours false), secure (true | auto), same_site (auto | lax | ...),
//   proxy (true: the proxy's `X-Forwarded-Proto` counts), origins (list with commas, beside the own origin),
//   second_cookie (true: handshakes also set `theme=dark; Path=/`),
//   connect_counts, disconnect_counts (true: the handlers of namespace `/` increment `connects` and `disconnects`),
//   reload (invalidation | never | packet; here `never` leaves out the handlers' reading)
//   this one alone: resave (true)
//   ours alone: end (reconnect | disconnect | callback), grace (ms until the sockets of a session that is gone are ended),
//   touch (never | handshake | packets | heartbeat), touch_interval (ms), store_timeout (ms until a command has failed)
//
// Reports: {"event": "disconnect", "id", "namespace", "reason"}. Ours alone: {"event": "end", "why": "gone" | ...},
// {"event": "change", "key"} once for each key, {"event": "error", "name": event, "message"}.
//
// Namespaces `/` and `/other` have the same events. Each is acknowledged, with `{"error": message}` if its handler or the save
// after it failed; then nothing is stored. `value` is any JSON, and comes out as it came in.
//   echo(value) -> value, which has nothing to do with the session
//   id() -> session id          is-new() -> true unless the handshake's cookie named the session
//   get(key) -> value | null    all() -> object of all values
//   set(key, value), remove(key), slow-set(key, value, ms) (waits, then sets), set-slow(key, value, ms) (sets, then waits) -> true
//   fail-set(key, value) sets and then fails             increment(key) -> the new number; in ours a transaction
//   save(), touch(), reload(), max-age(ms) -> true       cookie() -> {expires, originalMaxAge}
//   regenerate() -> true or whatever lets the client fetch its new cookie
//   destroy() -> true, and ends all sockets of the session, its own after the answer
//   broadcast-in-session(name) -> true, after emitting `name` to all sockets of the session in that namespace
//
// Everything beside the path of the sockets goes to the pages of `express.mjs`; ours has all but `/odd`, `/slow` and `/passport/`,
// and its `/increment` is a transaction too. Where Express answers 500 ours answers 503, if the store is what failed.
// Ours starts without a store, and answers handshakes and pages with a good cookie 503 until it is there.
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { Server } from "socket.io";
import { createApplication } from "./express.mjs";
import { engineOptions, readOptions, report, serveStandardInput } from "./options.mjs";

const given = { resave: "true", save_uninitialized: "true", ...readOptions() };
const { app, sessions } = await createApplication(given, disconnectAll);
const http = createServer(app);
const io = new Server(http, {
  ...engineOptions(given),
  serveClient: false,
  cors: given.origins && { origin: given.origins.split(","), credentials: true },
});
const namespaces = [io.of("/"), io.of("/other")];

if (given.second_cookie === "true") {
  io.engine.use((request, response, next) => {
    if (!request._query.sid) response.setHeader("Set-Cookie", ["theme=dark; Path=/"]);
    next();
  });
}
io.engine.use(sessions);

function disconnectAll(sessionId) {
  for (const namespace of namespaces) namespace.in(sessionId).disconnectSockets();
}

/** Calls a method of the session that takes a callback. */
function call({ request }, method) {
  return new Promise((resolve, reject) => request.session[method]((error) => (error ? reject(error) : resolve(true))));
}

/** What the handlers that read the session answer. */
const READ = {
  id: (session) => session.id,
  get: (session, key) => session[key] ?? null,
  all: ({ cookie, ...values }) => values,
  cookie: ({ cookie }) => ({ expires: cookie.expires ?? null, originalMaxAge: cookie.originalMaxAge ?? null }),
};

/** What the handlers do that change the session, and answer once it is saved. */
const WRITE = {
  set: (session, key, value) => ((session[key] = value), true),
  remove: (session, key) => delete session[key],
  increment: (session, key) => (session[key] = (session[key] ?? 0) + 1),
  "slow-set": async (session, key, value, ms) => (await sleep(ms), (session[key] = value), true),
  "set-slow": async (session, key, value, ms) => ((session[key] = value), await sleep(ms), true),
  "max-age": (session, ms) => ((session.cookie.maxAge = ms), true),
  "fail-set": (session, key, value) => {
    session[key] = value;
    throw new Error("the handler failed");
  },
};

for (const namespace of namespaces) {
  namespace.on("connection", (socket) => {
    const { request } = socket;
    const { id } = request.session;
    socket.join(id);

    /** Registers a handler; what it throws is acknowledged as an error. */
    const on = (name, handle) =>
      socket.on(name, async (...data) => {
        const ack = data.pop();
        try {
          ack(await handle(...data));
        } catch (error) {
          ack({ error: error.message });
        }
      });
    /** Reading again replaces the object, so handlers take it from the request. */
    const fresh = async () => {
      if (given.reload !== "never") await call(socket, "reload");
      return request.session;
    };
    const change = async (handle, ...data) => {
      const answer = await handle(await fresh(), ...data);
      await call(socket, "save");
      return answer;
    };

    for (const [name, handle] of Object.entries(READ)) on(name, async (...data) => handle(await fresh(), ...data));
    for (const [name, handle] of Object.entries(WRITE)) on(name, (...data) => change(handle, ...data));
    on("echo", (value) => value);
    on("is-new", () => !(request.headers.cookie ?? "").replaceAll("%3A", ":").includes(`s:${id}.`));
    on("save", () => call(socket, "save"));
    on("reload", () => call(socket, "reload"));
    on("touch", () => (request.session.touch(), true));
    on("regenerate", () => call(socket, "regenerate").then(() => call(socket, "save")));
    on("broadcast-in-session", (name) => namespace.to(id).emit(name));
    socket.on("destroy", async (ack) => {
      await call(socket, "destroy");
      ack(true);
      disconnectAll(id);
    });

    const count = (key) => change(WRITE.increment, key).catch((error) => report("error", { name: key, message: error.message }));
    if (namespace.name === "/" && given.connect_counts === "true") count("connects");
    socket.on("disconnect", async (reason) => {
      if (namespace.name === "/" && given.disconnect_counts === "true") await count("disconnects");
      report("disconnect", { id: socket.id, namespace: namespace.name, reason });
    });
  });
}
http.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${http.address().port}`));
serveStandardInput(() => io.close());
