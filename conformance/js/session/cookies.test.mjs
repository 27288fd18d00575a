// Cookies as they come, good and bad: the sockets and Express must know the same visitors.
import assert from "node:assert/strict";
import { startExpress } from "../servers/express.mjs";
import { call, connectSocket } from "../support/clients.mjs";
import { Polling, openWebSocket, rawWebSocket } from "../support/raw.mjs";
import { scenario } from "../support/scenario.mjs";
import { openSocket, startSite } from "../support/site.mjs";
import { oursAlone } from "../support/target.mjs";
import { loggedIn, sidOf } from "../support/visitor.mjs";

const PATH = { path: "/socket.io/" };
const KNOWN = true;
const UNKNOWN = false;

/** What a visitor may send instead of `connect.sid=good`, and whether Express knows them by it. */
const COOKIES = {
  "as it was given": [KNOWN, (good) => `connect.sid=${good}`],
  "not percent-encoded": [KNOWN, (good) => `connect.sid=${decodeURIComponent(good)}`],
  "in double quotes": [KNOWN, (good) => `connect.sid="${good}"`],
  "among others": [KNOWN, (good) => `a=1; connect.sid=${good}; b="2"; c`],
  "without spaces": [KNOWN, (good) => `a=1;connect.sid=${good};b=2`],
  "with many spaces": [KNOWN, (good) => `  a = 1 ;\tconnect.sid \t=  ${good}\t ; b=2`],
  "with empty pairs": [KNOWN, (good) => `;;; =; connect.sid=${good};;`],
  "first of two": [KNOWN, (good) => `connect.sid=${good}; connect.sid=s%3Aother.AAAA`],
  "second of two": [UNKNOWN, (good) => `connect.sid=s%3Aother.AAAA; connect.sid=${good}`],
  "behind an empty one": [UNKNOWN, (good) => `connect.sid=; connect.sid=${good}`],
  "after 8 kB of others": [KNOWN, (good) => `${"filler=0123456789; ".repeat(430)}connect.sid=${good}`],
  "before one of 8 kB": [KNOWN, (good) => `connect.sid=${good}; long=${"x".repeat(8000)}`],
  "its name in upper case": [UNKNOWN, (good) => `CONNECT.SID=${good}`],
  "a longer name": [UNKNOWN, (good) => `xconnect.sid=${good}`],
  "a comma between cookies": [UNKNOWN, (good) => `a=1, connect.sid=${good}`],
  "unsigned": [UNKNOWN, (good) => `connect.sid=${sidOf(good)}`],
  "marked but unsigned": [UNKNOWN, (good) => `connect.sid=s%3A${sidOf(good)}`],
  "an empty signature": [UNKNOWN, (good) => `connect.sid=s%3A${sidOf(good)}.`],
  "another's signature": [UNKNOWN, (good) => `connect.sid=s%3A${sidOf(good)}.${"A".repeat(43)}`],
  "a signature of the last bit wrong": [UNKNOWN, (good) => `connect.sid=${good.replace(/.$/, (last) => (last === "A" ? "B" : "A"))}`],
  "a shortened signature": [UNKNOWN, (good) => `connect.sid=${good.slice(0, -1)}`],
  "a signature with padding": [UNKNOWN, (good) => `connect.sid=${good}%3D`],
  "a signature of another alphabet": [UNKNOWN, (good) => `connect.sid=${good.replaceAll("%2B", "-").replaceAll("%2F", "_")}x`],
  "another id under the signature": [UNKNOWN, (good) => `connect.sid=${good.replace(/A(..)/, "A..$1")}`.replace("s%3A", "s%3Ax")],
  "another mark": [UNKNOWN, (good) => `connect.sid=${good.replace("s%3A", "S%3A")}`],
  "a broken escape": [UNKNOWN, (good) => `connect.sid=${good}%`],
  "escaped twice": [UNKNOWN, (good) => `connect.sid=${encodeURIComponent(good)}`],
  "an empty id": [UNKNOWN, () => "connect.sid=s%3A.AAAA"],
  "no value": [UNKNOWN, () => "connect.sid"],
  "8 kB of nonsense": [UNKNOWN, () => `connect.sid=s%3A${"x".repeat(8000)}.${"A".repeat(43)}`],
  "escapes of no text": [UNKNOWN, () => "connect.sid=s%3A%ff%fe.%00"],
};

scenario("who is known by which cookie, by polling, WebSocket and in Express", async (t) => {
  const { redis, express, server } = await startSite(t);
  const visitor = await loggedIn(express);
  for (const [name, [known, make]] of Object.entries(COOKIES)) {
    const headers = { cookie: make(visitor.signed) };
    const user = known ? "ada" : undefined;
    for (const page of [express, server]) {
      const response = await fetch(`${page.url}/me`, { headers });
      assert.equal((await response.json()).user, user, name);
    }
    for (const transport of ["polling", "websocket"]) {
      const socket = await connectSocket(t, server, { transports: [transport], extraHeaders: headers });
      assert.equal(await call(socket, "is-new"), !known, `${name}, ${transport}`);
      if (known) assert.equal(await call(socket, "get", "user"), "ada", `${name}, ${transport}`);
      else assert.notEqual(await call(socket, "get", "user"), "ada", `${name}, ${transport}`);
      socket.disconnect();
    }
  }
  assert.deepEqual(await redis.client.keys("*"), [visitor.key]);
});

scenario("a bad cookie does not reach the store", async (t) => {
  const { redis, express, server } = await startSite(t);
  const visitor = await loggedIn(express);
  const commands = await redis.commands(async () => {
    for (const [known, make] of Object.values(COOKIES)) {
      if (known) continue;
      const headers = { cookie: make(visitor.signed) };
      await fetch(`${server.url}/socket.io/?EIO=4&transport=polling`, { headers });
      const socket = await openWebSocket(server, { ...PATH, headers });
      socket.close();
    }
  });
  assert.deepEqual(commands, []);
});

scenario("an id that the store does not know is not taken over, though its signature is good", async (t) => {
  const { redis, express, server } = await startSite(t, { save_uninitialized: true });
  const visitor = await loggedIn(express);
  const { sid, key } = visitor;
  await redis.client.del(key);
  for (const transport of ["polling", "websocket"]) {
    const stray = visitor.clone();
    const socket = await connectSocket(t, server, { transports: [transport], extraHeaders: stray.extraHeaders });
    assert.notEqual(await call(socket, "id"), sid);
    await call(socket, "set", "user", "mallory");
    socket.disconnect();
  }
  await visitor.clone().post(server, "/set", { key: "user", value: "mallory" });
  assert.equal(await redis.client.exists(key), 0);
});

scenario("headers beyond all measure are refused, and the server goes on", async (t) => {
  const { express, server } = await startSite(t);
  const visitor = await loggedIn(express);
  const headers = { cookie: `connect.sid=${visitor.signed}; long=${"x".repeat(100_000)}` };
  const { status } = await fetch(`${server.url}/socket.io/?EIO=4&transport=polling`, { headers });
  assert.equal(status, 431);
  assert.equal(await call(await openSocket(t, server, visitor), "get", "user"), "ada");
});

scenario("a cookie of the secret before is good, and one of another secret is not", async (t) => {
  const { redis, express, server } = await startSite(t, { secret: "new,old" });
  const earlier = await startExpress(t, { redis: redis.url, secret: "old" });
  const elsewhere = await startExpress(t, { redis: redis.url, secret: "none of them" });
  const [known, unknown] = [await loggedIn(earlier, "ada"), await loggedIn(elsewhere, "mallory")];
  assert.equal(await call(await openSocket(t, server, known), "get", "user"), "ada");
  assert.equal((await known.clone().get(express, "/me")).user, "ada");
  const stranger = await openSocket(t, server, unknown);
  assert.equal(await call(stranger, "is-new"), true);
  assert.notEqual(await call(stranger, "get", "user"), "mallory");
  // What the server itself gives out is signed with the first.
  const fresh = await loggedIn(server, "ben");
  const later = await startExpress(t, { redis: redis.url, secret: "new" });
  assert.equal((await fresh.get(later, "/me")).user, "ben");
});

scenario(
  "a connection belongs to its session: others cannot poll it, post to it or take it over",
  oursAlone("asks for the connection's id alone"),
  async (t) => {
    const { express, server } = await startSite(t);
    const [ada, mallory] = [await loggedIn(express, "ada"), await loggedIn(express, "mallory")];
    const polling = await Polling.open(server, { ...PATH, headers: ada.extraHeaders });
    for (const headers of [mallory.extraHeaders, {}, { cookie: "connect.sid=s%3Aguess.AAAA" }]) {
      assert.equal((await polling.get({ headers })).status, 403);
      assert.equal((await polling.post("40", headers)).status, 403);
      const { status } = await rawWebSocket(server, { ...PATH, query: `&sid=${polling.sid}`, headers }).refused();
      assert.equal(status, 403);
    }
    assert.equal((await polling.post("40", ada.extraHeaders)).status, 200);
    const answer = await polling.get({ headers: ada.extraHeaders });
    assert.match(await answer.text(), /^40\{/);
  },
);
