// The official Socket.IO server with express-session; its twin is `src/bin/socket_server.rs`.
//
// Arguments as in `engine.mjs`, and connect_timeout (ms). Namespaces: `/` and `/admin` do the same; `/refused` lets in
// who authenticates as a friend.
import { createServer } from "node:http";
import session from "express-session";
import { Server } from "socket.io";
import { engineOptions, readOptions, report, serveStandardInput } from "./options.mjs";

const given = readOptions();
const http = createServer((_, response) => response.writeHead(404).end());
const io = new Server(http, {
  ...engineOptions(given),
  path: given.path ?? "/socket.io/",
  connectTimeout: given.connect_timeout ? Number(given.connect_timeout) : undefined,
  serveClient: false,
});
io.engine.use(session({ secret: "keyboard cat", resave: false, saveUninitialized: true }));

io.of("/refused").use((socket, next) => {
  if (socket.handshake.auth.token === "friend") return next();
  next(Object.assign(new Error("not you"), { data: { code: 7 } }));
});

/** Changes the session as a transaction would: reads it again, changes it, saves it. */
function updateSession(socket, change) {
  const { request } = socket;
  return new Promise((resolve) =>
    // Reading again replaces the object.
    request.session.reload(() => {
      const result = change(request.session);
      request.session.save(() => resolve(result));
    }),
  );
}

for (const namespace of [io.of("/"), io.of("/admin"), io.of("/refused")]) {
  namespace.on("connection", (socket) => {
    report("connect", { id: socket.id, namespace: namespace.name });
    socket.on("disconnect", (reason) => report("disconnect", { id: socket.id, namespace: namespace.name, reason }));

    for (const name of ["echo", "pair", "binary", "parcel"]) {
      socket.on(name, (...data) => {
        const ack = typeof data.at(-1) === "function" && data.pop();
        socket.emit(name, ...data);
        if (ack) ack(...data);
      });
    }
    for (const name of ["ask", "ask-binary"]) {
      socket.on(name, (data) => socket.timeout(5000).emit("question", data, (_, answer) => socket.emit("answered", answer)));
    }
    socket.on("ask-in-vain", () =>
      socket.timeout(100).emit("ignored", (error) => socket.emit("answered", error ? "nothing" : "something")),
    );
    socket.on("count", (to) => {
      for (let nth = 0; nth < to; nth++) socket.emit("number", nth);
    });

    socket.on("join", (room, ack) => (socket.join(room), ack()));
    socket.on("leave", (room, ack) => (socket.leave(room), ack()));
    socket.on("rooms", (ack) => ack([...socket.rooms].filter((room) => room !== socket.id).sort()));
    socket.on("say", (room, text) => socket.to(room).emit("said", text));
    socket.on("say-except", (room, text) => socket.except(room).emit("said", text));
    socket.on("say-others", (text) => socket.broadcast.emit("said", text));
    socket.on("say-all", (text) => namespace.emit("said", text));
    socket.on("say-binary", (data) => namespace.emit("said", data));

    socket.on("who-am-i", (ack) =>
      ack({ id: socket.id, auth: socket.handshake.auth, token: socket.handshake.query.token ?? null }),
    );
    socket.on("disconnect-me", () => socket.disconnect());
    socket.on("close-me", () => socket.disconnect(true));

    socket.on("visit", async (ack) => ack(await updateSession(socket, (session) => (session.visits = (session.visits ?? 0) + 1))));
    socket.on("log-in", async (name, ack) => ack(await updateSession(socket, (session) => (session.name = name))));
    socket.on("name", (ack) => socket.request.session.reload(() => ack(socket.request.session.name ?? null)));
  });
}
http.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${http.address().port}`));
serveStandardInput(() => io.close());
