// The example `engine_echo`.
import assert from "node:assert/strict";
import { ROUTES, openEngineClient } from "../support/clients.mjs";
import { scenario } from "../support/scenario.mjs";

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: messages come back`, async (t) => {
    const client = await openEngineClient(t, { url: process.env.ENGINE_ECHO }, options);
    client.send("hello");
    client.send(Buffer.from([1, 2, 3]));
    assert.deepEqual(await client.inbox.takeMany(2), ["hello", Buffer.from([1, 2, 3])]);
  });
}
