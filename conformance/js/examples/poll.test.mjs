// The example `poll`.
import assert from "node:assert/strict";
import { call, connectSocket } from "../support/clients.mjs";
import { scenario } from "../support/scenario.mjs";

const server = { url: process.env.POLL };

/** Connects a client that does `vote` with the callback of the question. */
async function voter(t, vote) {
  const socket = await connectSocket(t, server);
  const { id } = socket;
  socket.on("vote", (question, answer) => vote(answer, socket));
  return id;
}

scenario("votes are gathered, and it is known who is missing and why", async (t) => {
  for (const vote of [true, true, false]) await voter(t, (answer) => answer(vote));
  const silent = await voter(t, () => {});
  const unclear = await voter(t, (answer) => answer("perhaps"));
  const gone = await voter(t, (_, socket) => socket.disconnect());
  const { yes, no, missing } = await call(await connectSocket(t, server), "poll", "tea?");
  assert.deepEqual({ yes, no }, { yes: 2, no: 1 });
  const why = Object.fromEntries(missing.map(({ id, why }) => [id, why]));
  assert.deepEqual(Object.keys(why).sort(), [silent, unclear, gone].sort());
  assert.equal(why[silent], "no answer in time");
  assert.match(why[unclear], /^answer: invalid type/);
  assert.equal(why[gone], "socket is disconnected");
});
