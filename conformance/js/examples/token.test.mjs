// The example `token`.
import assert from "node:assert/strict";
import { call, connectSocket, socketClient } from "../support/clients.mjs";
import { next, scenario } from "../support/scenario.mjs";

const server = { url: process.env.TOKEN };

scenario("members write, guests look, others stay out", async (t) => {
  const member = await connectSocket(t, server, { auth: { token: "ada-secret" } });
  const guest = await connectSocket(t, server);
  assert.equal(await call(member, "look"), 'Some(Member("Ada"))');
  assert.equal(await call(member, "write", "four"), 4);
  assert.equal(await call(guest, "look"), "Some(Guest)");
  assert.deepEqual(await call(guest, "write", "four"), { error: "members only" });
  const stranger = socketClient(t, server, { auth: { token: "guessed" } });
  stranger.connect();
  const [error] = await next(stranger, "connect_error");
  assert.equal(error.message, "unknown token");
  assert.deepEqual(error.data, { retry: false });
});
