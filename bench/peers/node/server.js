// The official server; reads PORT, and WS_ENGINE for another WebSocket layer than `ws`.
"use strict";
const http = require("http");
const { Server } = require("socket.io");

const options = { serveClient: false, perMessageDeflate: false };
if (process.env.WS_ENGINE) options.wsEngine = require(process.env.WS_ENGINE).Server;

const server = http.createServer();
const io = new Server(server, options);
io.on("connection", (socket) => {
  socket.on("echo", (text) => socket.emit("echo", text));
  socket.on("bin", (data) => socket.emit("bin", data));
  socket.on("ack", (text, answer) => answer(text));
  socket.on("bcast", (text) => io.emit("bcast", text));
  socket.on("join", (room, answer) => {
    socket.join(room);
    answer(room);
  });
  socket.on("leave", (room, answer) => {
    socket.leave(room);
    answer(room);
  });
  socket.on("room", (room, text) => io.to(room).emit("room", text));
});
server.listen({ port: +(process.env.PORT || 3000), host: "127.0.0.1", backlog: 4096 }, () => {
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});
