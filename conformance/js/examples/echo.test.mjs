// The example `echo`.
import assert from "node:assert/strict";
import { connectSocket, inboxOf } from "../support/clients.mjs";
import { scenario } from "../support/scenario.mjs";

scenario("echo comes back and sum is acknowledged", async (t) => {
  const socket = await connectSocket(t, { url: process.env.ECHO });
  const echoes = inboxOf(socket, "echo");
  socket.emit("echo", "hello");
  assert.deepEqual(await echoes.take(), ["hello"]);
  assert.equal(await socket.timeout(10_000).emitWithAck("sum", 2, 3), 5);
});
