// The example `acks`.
import assert from "node:assert/strict";
import { call, connectSocket } from "../support/clients.mjs";
import { scenario } from "../support/scenario.mjs";

const server = { url: process.env.ACKS };

scenario("the server answers with values, several values, or an error, and asks", async (t) => {
  const socket = await connectSocket(t, server);
  const both = await new Promise((resolve) => socket.emit("divide", 7, 2, (...values) => resolve(values)));
  assert.deepEqual(both, [3, 1]);
  assert.deepEqual(await call(socket, "divide", 1, 0), { error: "division by zero" });
  assert.match((await call(socket, "divide", "seven", 2)).error, /invalid type/);
  socket.on("name?", ({ formal }, answer) => answer(formal ? "Lovelace" : "Ada"));
  assert.equal(await call(socket, "greet me"), "Hello, Ada");
  socket.off("name?");
  assert.equal(await call(socket, "greet me"), "Hello, stranger (no answer in time)");
});
