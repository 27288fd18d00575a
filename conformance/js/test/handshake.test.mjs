// What travels with the first request: cookie, CORS, headers, query, path, refusal.
import assert from "node:assert/strict";
import { engineClient, openEngineClient } from "../support/clients.mjs";
import { Polling, openWebSocket, rawWebSocket } from "../support/raw.mjs";
import { next, scenario } from "../support/scenario.mjs";
import { engineServer, official } from "../support/target.mjs";

const POLLING = { transports: ["polling"] };
const WEBSOCKET = { transports: ["websocket"] };

scenario("the `io` cookie names the connection, on the polling handshake alone", async (t) => {
  const server = await engineServer(t, { cookie: "io" });
  const polling = await Polling.open(server);
  const cookies = polling.response.headers.getSetCookie();
  assert.ok(cookies.includes(`io=${polling.sid}; Path=/; HttpOnly; SameSite=Lax`), String(cookies));
  await polling.push("4x");
  assert.deepEqual((await polling.get()).headers.getSetCookie(), []);
});

scenario("no cookie unless asked for", async (t) => {
  const polling = await Polling.open(await engineServer(t));
  assert.deepEqual(polling.response.headers.getSetCookie(), ["a=1", "b=2"]);
});

scenario("headers of the first response, and of every response", async (t) => {
  const polling = await Polling.open(await engineServer(t));
  assert.equal(polling.response.headers.get("x-first"), "1");
  assert.equal(polling.response.headers.get("x-every"), "1");
  const posted = await polling.post("4x");
  const polled = await polling.get();
  for (const { headers } of [posted, polled]) {
    assert.equal(headers.get("x-first"), null);
    assert.equal(headers.get("x-every"), "1");
  }
});

scenario("headers of the WebSocket's response, each cookie on its own line", async (t) => {
  const socket = rawWebSocket(await engineServer(t));
  const [[response]] = await Promise.all([next(socket, "upgrade"), socket.opened()]);
  assert.equal(response.headers["x-first"], "1");
  assert.equal(response.headers["x-every"], "1");
  // The official server joins the cookies with a comma, which browsers cannot read.
  assert.deepEqual(response.headers["set-cookie"], official ? ["a=1,b=2"] : ["a=1", "b=2"]);
});

scenario("without CORS there are no headers and no preflight", async (t) => {
  const server = await engineServer(t);
  const preflight = await fetch(`${server.url}/engine.io/?EIO=4&transport=polling`, { method: "OPTIONS" });
  assert.equal(preflight.status, 400);
  assert.deepEqual(await preflight.json(), { code: 2, message: "Bad handshake method" });
  const polling = await Polling.open(server);
  assert.equal(polling.response.headers.get("access-control-allow-origin"), null);
});

/** A request from another origin. */
function crossOrigin(server, { origin = "http://a.example", query = "transport=polling&EIO=4", ...options } = {}) {
  return fetch(`${server.url}/engine.io/?${query}`, { ...options, headers: { origin, ...options.headers } });
}

scenario("CORS for everybody", async (t) => {
  const server = await engineServer(t, { cors: "*" });
  const headers = { "access-control-request-method": "POST", "access-control-request-headers": "x-one, x-two" };
  const preflight = await crossOrigin(server, { method: "OPTIONS", headers });
  assert.equal(preflight.status, 204);
  assert.equal(preflight.headers.get("access-control-allow-origin"), "*");
  assert.equal(preflight.headers.get("access-control-allow-methods"), "GET,HEAD,PUT,PATCH,POST,DELETE");
  assert.equal(preflight.headers.get("access-control-allow-headers"), "x-one, x-two");
  assert.match(preflight.headers.get("vary"), /Access-Control-Request-Headers/i);
  const response = await crossOrigin(server);
  assert.equal(response.status, 200);
  assert.equal(response.headers.get("access-control-allow-origin"), "*");
});

scenario("CORS for some origins, with credentials", async (t) => {
  const server = await engineServer(t, { cors: "http://a.example,http://b.example" });
  const allowed = await crossOrigin(server, { origin: "http://b.example" });
  assert.equal(allowed.headers.get("access-control-allow-origin"), "http://b.example");
  assert.equal(allowed.headers.get("access-control-allow-credentials"), "true");
  assert.match(allowed.headers.get("vary"), /Origin/);
  const other = await crossOrigin(server, { origin: "http://c.example" });
  assert.equal(other.status, 200);
  assert.equal(other.headers.get("access-control-allow-origin"), null);
  assert.match(other.headers.get("vary"), /Origin/);
});

scenario("CORS headers are on refusals, so that the page can read them", async (t) => {
  const response = await crossOrigin(await engineServer(t, { cors: "*" }), { query: "EIO=4&transport=abc" });
  assert.equal(response.status, 400);
  assert.equal(response.headers.get("access-control-allow-origin"), "*");
});

scenario("a handshake is refused, over polling with its status and message", async (t) => {
  const server = await engineServer(t);
  const response = await fetch(`${server.url}/engine.io/?EIO=4&transport=polling&deny=1`);
  assert.equal(response.status, 403);
  assert.deepEqual(await response.json(), { code: 4, message: "no entry" });
  assert.equal((await server.report("error")).code, 4);
});

scenario("a handshake is refused, over WebSocket before it is opened", async (t) => {
  const refusal = await rawWebSocket(await engineServer(t), { query: "&deny=1" }).refused();
  assert.equal(refusal.status, official ? 400 : 403);
  assert.match(refusal.body, /no entry/);
});

scenario("the official client learns of the refusal", async (t) => {
  const server = await engineServer(t);
  for (const options of [POLLING, WEBSOCKET]) {
    const client = engineClient(t, server, { ...options, query: { deny: 1 } });
    await next(client, "error");
    assert.equal((await client.closings.take()).reason, "transport error");
  }
});

for (const [route, options] of Object.entries({ polling: POLLING, websocket: WEBSOCKET })) {
  scenario(`${route}: the server sees query and headers`, async (t) => {
    const query = { token: "a b&c=é" };
    const extraHeaders = { "x-token": "secret" };
    const client = await openEngineClient(t, await engineServer(t), { ...options, query, extraHeaders });
    client.send("target");
    client.send("header x-token");
    client.send("address");
    const [target, header, address] = await client.inbox.takeMany(3);
    assert.equal(new URL(target, "http://x").searchParams.get("token"), "a b&c=é");
    assert.equal(header, "secret");
    assert.match(address, /127\.0\.0\.1$/);
  });

  scenario(`${route}: a path of one's own`, async (t) => {
    const server = await engineServer(t, { path: "/live/here/" });
    const client = await openEngineClient(t, server, { ...options, path: "/live/here/" });
    client.send("hello");
    assert.equal(await client.inbox.take(), "hello");
    const stranger = engineClient(t, server, options);
    await next(stranger, "error");
  });
}

scenario("other paths are the application's, by default 404", async (t) => {
  const server = await engineServer(t);
  for (const path of ["/", "/engine.io?EIO=4&transport=polling", "/elsewhere"]) {
    const response = await fetch(server.url + path);
    assert.equal(response.status, 404, path);
    await response.text();
  }
});

scenario("a longer path with the prefix is served", async (t) => {
  const server = await engineServer(t);
  await Polling.open(server, { path: "/engine.io/further/down" });
});

scenario("a first packet comes with the handshake", async (t) => {
  const server = await engineServer(t, { initial: "welcome" });
  assert.deepEqual((await Polling.open(server)).rest, ["4welcome"]);
  assert.equal(await (await openWebSocket(server)).inbox.take(), "4welcome");
});

scenario("a transport that is not offered is unknown", async (t) => {
  const server = await engineServer(t, { transports: "websocket" });
  const response = await fetch(`${server.url}/engine.io/?EIO=4&transport=polling`);
  assert.deepEqual(await response.json(), { code: 0, message: "Transport unknown" });
  const client = await openEngineClient(t, server, WEBSOCKET);
  client.send("hello");
  assert.equal(await client.inbox.take(), "hello");
});

const QUERIES = [
  ["an empty sid is a handshake", "EIO=4&transport=polling&sid="],
  ["the last of two transports counts", "EIO=4&transport=abc&transport=polling"],
  ["the last of two versions counts", "EIO=2&EIO=4&transport=polling"],
];

for (const [name, query] of QUERIES) {
  scenario(name, async (t) => {
    const response = await fetch(`${(await engineServer(t)).url}/engine.io/?${query}`);
    assert.equal(response.status, 200);
    assert.match(await response.text(), /^0\{/);
  });
}
