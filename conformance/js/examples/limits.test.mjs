// The example `limits`.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
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

scenario("Ctrl-C closes one connection after the other, and those that wait are served", async (t) => {
  const program = spawn(process.env.LIMITS_PROGRAM, { env: { ...process.env, PORT: "0" } });
  t.after(() => program.kill("SIGKILL"));
  const exited = once(program, "exit");
  const [line] = await once(createInterface(program.stdout), "line");
  const url = line.replace("listening on ", "");
  const sockets = await Promise.all(range(8).map(() => connectSocket(t, { url }, { transports: ["websocket"] })));
  const ends = sockets.map((socket) => next(socket, "disconnect"));
  program.kill("SIGINT");
  await Promise.race(ends);
  const waiting = sockets.filter((socket) => socket.connected);
  const answers = await Promise.allSettled(waiting.map((socket) => call(socket, "work", 7)));
  assert.ok(answers.some(({ value }) => value === 7), "nobody was served after the first had been closed");
  for (const [reason] of await Promise.all(ends)) assert.equal(reason, "transport close");
  assert.deepEqual(await exited, [0, null]);
});
