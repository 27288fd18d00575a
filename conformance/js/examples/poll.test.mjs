// The example `poll`.
import assert from "node:assert/strict";
import { call, connectSocket } from "../support/clients.mjs";
import { scenario } from "../support/scenario.mjs";

const server = { url: process.env.POLL };

scenario("votes are gathered, and the silent are counted", async (t) => {
  const voters = await Promise.all([true, true, false, "perhaps", null].map(async (vote) => {
    const voter = await connectSocket(t, server);
    voter.on("vote", (question, answer) => vote !== null && answer(vote));
    return voter;
  }));
  const asking = await connectSocket(t, server);
  assert.deepEqual(await call(asking, "poll", "tea?"), { yes: 2, no: 1, silent: 2 });
  for (const voter of voters) voter.disconnect();
});
