// HTTP long-polling on the wire: headers, compression, methods, and what closes the connection.
import assert from "node:assert/strict";
import { request } from "node:http";
import { once } from "node:events";
import { gunzipSync, inflateSync } from "node:zlib";
import { Polling } from "../support/raw.mjs";
import { scenario } from "../support/scenario.mjs";
import { engineServer, official } from "../support/target.mjs";

scenario("a poll waits until there is something to send", async (t) => {
  const polling = await Polling.open(await engineServer(t));
  const poll = polling.poll();
  await polling.push("4late");
  assert.equal(await poll, "4late");
});

scenario("responses may not be cached, and say what they are", async (t) => {
  const polling = await Polling.open(await engineServer(t));
  const posted = await polling.post("4x");
  assert.equal(await posted.text(), "ok");
  assert.equal(posted.headers.get("content-type"), "text/html");
  assert.equal(posted.headers.get("cache-control"), "no-store");
  const got = await polling.get();
  assert.equal(await got.text(), "4x");
  assert.equal(got.headers.get("content-type"), "text/plain; charset=UTF-8");
  assert.equal(got.headers.get("content-length"), "2");
  assert.equal(got.headers.get("cache-control"), "no-store");
});

scenario("old Internet Explorer gets its header", async (t) => {
  const polling = await Polling.open(await engineServer(t));
  await polling.push("4x");
  const response = await polling.get({ headers: { "user-agent": "Mozilla/4.0 (compatible; MSIE 8.0; Trident/4.0)" } });
  assert.equal(response.headers.get("x-xss-protection"), "0");
});

/** The undecoded response to a poll. */
async function rawPoll(polling, acceptEncoding) {
  const [response] = await once(request(polling.url, { headers: { "accept-encoding": acceptEncoding } }).end(), "response");
  const chunks = [];
  for await (const chunk of response) chunks.push(chunk);
  return { encoding: response.headers["content-encoding"], body: Buffer.concat(chunks) };
}

const ENCODINGS = [
  ["gzip, deflate, br", 1024, "gzip", gunzipSync],
  ["deflate", 1024, "deflate", inflateSync],
  ["br", 1024, undefined, (body) => body],
  ["gzip", 1023, undefined, (body) => body],
];

for (const [accepted, length, encoding, decode] of ENCODINGS) {
  scenario(`a response of ${length} bytes for a client that accepts ${accepted}`, async (t) => {
    const polling = await Polling.open(await engineServer(t));
    const payload = `4${"x".repeat(length - 1)}`;
    await polling.push(payload);
    const response = await rawPoll(polling, accepted);
    assert.equal(response.encoding, encoding);
    assert.equal(decode(response.body).toString(), payload);
  });
}

scenario("other methods fail and leave the connection alone", async (t) => {
  const polling = await Polling.open(await engineServer(t));
  for (const method of ["PUT", "DELETE", "OPTIONS"]) {
    const response = await fetch(polling.url, { method });
    assert.equal(response.status, 500);
    assert.equal(await response.text(), "");
  }
  await polling.push("4alive");
  assert.equal(await polling.poll(), "4alive");
});

const CLOSING_BODIES = [
  ["an empty body", "", "parse error"],
  ["a payload with an empty packet", "4x\x1e", "parse error"],
  ["a ping from the client", "2", "transport error"],
];

for (const [name, body, reason] of CLOSING_BODIES) {
  scenario(`${name} closes the connection`, async (t) => {
    const server = await engineServer(t);
    const polling = await Polling.open(server);
    await polling.post(body);
    assert.equal((await server.closed(polling.sid)).reason, reason);
    await polling.assertUnknown();
  });
}

scenario("a body of octets is refused and closes the connection", async (t) => {
  const server = await engineServer(t);
  const polling = await Polling.open(server);
  const response = await polling.post(Buffer.from("4x"), { "content-type": "application/octet-stream" });
  assert.equal(response.status, 400);
  assert.equal((await server.closed(polling.sid)).reason, "transport error");
});

scenario("packets before a bad one are delivered", async (t) => {
  const server = await engineServer(t);
  const polling = await Polling.open(server);
  const response = await polling.post("4note delivered\x1ez");
  assert.equal(response.status, official ? 200 : 400);
  assert.equal((await server.report("note")).note, "delivered");
  assert.equal((await server.closed(polling.sid)).reason, "parse error");
});

scenario("two posts at once close the connection", async (t) => {
  const server = await engineServer(t);
  const polling = await Polling.open(server);
  // The first body never ends.
  const first = request(polling.url, { method: "POST", headers: { "content-length": 10 } });
  first.on("error", () => {});
  first.write("4");
  // Only the server knows when it has seen the first; until then a second is served.
  let status = 200;
  while (status === 200) status = (await polling.post("3")).status;
  assert.equal(status, 400);
  assert.equal((await server.closed(polling.sid)).reason, "transport error");
  first.destroy();
});

scenario("a body in chunks is put together, whatever the chunks split", async (t) => {
  const polling = await Polling.open(await engineServer(t));
  const body = Buffer.from("4€uro\x1e4second");
  const post = request(polling.url, { method: "POST", headers: { "transfer-encoding": "chunked" } });
  for (const byte of body) post.write(Buffer.from([byte]));
  const [response] = await once(post.end(), "response");
  assert.equal(response.statusCode, 200);
  response.resume();
  assert.equal(await polling.poll(), body.toString());
});
