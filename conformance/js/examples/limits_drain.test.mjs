// The example `limits`, told to end.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { call, connectSocket, inboxOf } from "../support/clients.mjs";
import { range, scenario } from "../support/scenario.mjs";

scenario("Ctrl-C closes the connections one by one", async (t) => {
  const program = spawn(process.env.LIMITS_PROGRAM, { env: { ...process.env, PORT: "0" } });
  t.after(() => program.kill("SIGKILL"));
  const [line] = await once(createInterface(program.stdout), "line");
  const server = { url: line.replace("listening on ", "") };
  const sockets = await Promise.all(range(3).map(() => connectSocket(t, server, { transports: ["websocket"] })));
  const ends = sockets.map((socket) => inboxOf(socket, "disconnect").take());
  const exit = once(program, "exit");

  program.kill("SIGINT");
  await Promise.race(ends);
  // The second and the third have their turns later: somebody is still served.
  assert.equal(await Promise.any(sockets.filter((socket) => socket.connected).map((socket) => call(socket, "work", 1))), 1);
  assert.deepEqual((await Promise.all(ends)).map(([reason]) => reason), range(3).map(() => "transport close"));
  assert.deepEqual(await exit, [0, null]);
});
