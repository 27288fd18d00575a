// The example `rooms`.
import assert from "node:assert/strict";
import { call, connectSocket, inboxOf } from "../support/clients.mjs";
import { scenario } from "../support/scenario.mjs";

const server = { url: process.env.ROOMS };

scenario("rooms, private messages, and who is there", async (t) => {
  const [ada, ben, cleo] = await Promise.all([1, 2, 3].map(() => connectSocket(t, server)));
  const heard = [ada, ben, cleo].map((socket) => inboxOf(socket, "said"));
  await call(ada, "join", "library");
  await call(ben, "join", "library");
  assert.deepEqual(await call(cleo, "who", "library"), [ada.id, ben.id].sort());
  assert.deepEqual(await call(cleo, "say", { room: "library", text: "hello" }), { error: "join the room first" });
  await call(ada, "say", { room: "library", text: "hush" });
  assert.deepEqual(await heard[1].take(), [{ room: "library", text: "hush" }]);
  const whispered = inboxOf(cleo, "whispered");
  // Who joins a room named as her id does not hear what is for her.
  await call(ada, "join", cleo.id);
  const overheard = [ada, ben].map((socket) => inboxOf(socket, "whispered"));
  await call(ben, "whisper", cleo.id, "psst");
  assert.deepEqual(await whispered.take(), [ben.id, "psst"]);
  assert.deepEqual(await call(cleo, "whisper", "library", "to all?"), { error: "no such socket" });
  await call(ada, "leave", "library");
  assert.deepEqual(await call(cleo, "who", "library"), [ben.id]);
  await Promise.all([ada, ben].map((socket) => call(socket, "who", "library")));
  assert.equal([heard[0], heard[2], ...overheard].reduce((sum, inbox) => sum + inbox.size, 0), 0);
});
