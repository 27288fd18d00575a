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
  ben.emit("whisper", cleo.id, "psst");
  assert.deepEqual(await whispered.take(), [ben.id, "psst"]);
  await call(ada, "leave", "library");
  assert.deepEqual(await call(cleo, "who", "library"), [ben.id]);
  assert.equal(heard[0].size + heard[2].size, 0);
});
