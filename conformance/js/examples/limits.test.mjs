// The example `limits`.
import assert from "node:assert/strict";
import { call, connectSocket } from "../support/clients.mjs";
import { next, range, scenario } from "../support/scenario.mjs";

const server = { url: process.env.LIMITS };

scenario("a burst is refused, a flood is cut off", async (t) => {
  const socket = await connectSocket(t, server);
  const answers = await Promise.all(range(12).map((task) => call(socket, "work", task)));
  assert.deepEqual(answers.slice(0, 10), range(10));
  assert.deepEqual(answers.at(-1), { error: "too many events" });
  const ended = next(socket, "disconnect");
  for (const task of range(100)) socket.emit("work", task);
  assert.equal((await ended)[0], "transport close");
});
