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

scenario("no client fills the memory: by bytes, by names, or by empty files", async (t) => {
  const socket = await connectSocket(t, server);
  const piece = (name, bytes) => call(socket, "piece", { name, data: Buffer.alloc(bytes) });
  for (const nth of range(10)) assert.equal(await piece("large", 900_000), 900_000 * (nth + 1));
  assert.equal(await piece("last", 900_000), 900_000);
  assert.deepEqual(await piece("last", 900_000), { error: "no more room" });
  assert.deepEqual(await piece("x".repeat(101), 0), { error: "the name is too long" });
  for (const nth of range(8)) assert.equal(await piece(`empty ${nth}`, 0), 0);
  assert.deepEqual(await piece("one more", 0), { error: "too many files" });
  assert.equal(await piece("last", 1), 900_001);
});
