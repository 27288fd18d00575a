// The example `upload`.
import assert from "node:assert/strict";
import { call, connectSocket } from "../support/clients.mjs";
import { range, scenario } from "../support/scenario.mjs";

const server = { url: process.env.UPLOAD };

scenario("pieces make a file, which comes back", async (t) => {
  const socket = await connectSocket(t, server);
  const file = Buffer.from(range(300_000).map((nth) => nth % 251));
  for (let at = 0; at < file.length; at += 100_000) {
    const data = file.subarray(at, at + 100_000);
    assert.equal(await call(socket, "piece", { name: "f", data }), at + data.length);
  }
  assert.deepEqual(await call(socket, "download", "f"), file);
  assert.deepEqual(await call(socket, "download", "g"), { error: "no such file" });
  assert.match((await call(socket, "piece", { name: "f", data: 7 })).error, /invalid type/);
});
