// One session in two languages: what Express stores the sockets read, and the reverse.
import assert from "node:assert/strict";
import { ROUTES, call } from "../support/clients.mjs";
import { range, scenario } from "../support/scenario.mjs";
import { callInVain, openSocket, startSite, stored } from "../support/site.mjs";
import { oursAlone } from "../support/target.mjs";
import { Visitor, loggedIn } from "../support/visitor.mjs";

const VALUES = {
  null: null,
  true: true,
  zero: 0,
  integer: 9007199254740991,
  fraction: 0.30000000000000004,
  large: 1e21,
  huge: 1.7976931348623157e308,
  tiny: 5e-324,
  "beyond the integers": 123456789012345680000,
  "empty text": "",
  emoji: "Jörg 😀 \u2028 \u2029",
  "control characters": '\u0000\u0001\u001f\u007f"\\/',
  "half a surrogate pair": "cut \ud83d",
  "the other half": "\ude00 cut",
  "empty array": [],
  "empty object": {},
  nested: { user: { id: 7, roles: ["a", [], { "": null }] }, cookie: "of its own" },
  "integers as keys": { 2: "two", 10: "ten", b: 1, a: 2 },
  "a key of prototypes": JSON.parse('{"__proto__":{"admin":true},"constructor":1}'),
  deep: range(100).reduce((inner) => [inner], "bottom"),
  long: "x".repeat(100_000),
};

scenario("Express writes every kind of value, a socket reads it", async (t) => {
  const { express, server } = await startSite(t);
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  for (const [name, value] of Object.entries(VALUES)) {
    await visitor.post(express, "/set", { key: "value", value });
    // The change may be on its way for a moment.
    await call(socket, "reload");
    assert.deepEqual(await call(socket, "get", "value"), value, name);
  }
});

scenario("a socket writes every kind of value, Express reads it", async (t) => {
  const { express, server } = await startSite(t);
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  for (const [name, value] of Object.entries(VALUES)) {
    assert.equal(await call(socket, "set", "value", value), true, name);
    assert.deepEqual(await visitor.get(express, "/me"), { user: "ada", value }, name);
  }
});

scenario("the pages of the socket server and Express read each other's values", async (t) => {
  const { express, server } = await startSite(t);
  const visitor = await loggedIn(server);
  for (const [name, value] of Object.entries(VALUES)) {
    for (const [from, to] of [
      [express, server],
      [server, express],
    ]) {
      await visitor.post(from, "/set", { key: name, value });
      assert.deepEqual((await visitor.get(to, "/me"))[name], value, name);
      await visitor.post(to, "/remove", { key: name });
    }
  }
  assert.deepEqual(await visitor.get(express, "/me"), { user: "ada" });
});

scenario("keys that look like integers, are empty or odd", async (t) => {
  const { express, server } = await startSite(t);
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  const keys = ["10", "2", "", "a b", "ä😀", "Cookie", "__v", "-1", "01", "4294967296", 'quo"te'];
  for (const key of keys.slice(0, 6)) await visitor.post(express, "/set", { key, value: key });
  for (const key of keys.slice(6)) await call(socket, "set", key, key);
  const expected = { ...Object.fromEntries(keys.map((key) => [key, key])), user: "ada" };
  assert.deepEqual(await visitor.get(express, "/me"), expected);
  assert.deepEqual(await call(socket, "all"), expected);
});

scenario("what JSON does not have, a socket sees as Express sees it on the next request", async (t) => {
  const { express, server } = await startSite(t);
  const visitor = await loggedIn(express);
  await visitor.post(express, "/odd");
  const socket = await openSocket(t, server, visitor);
  const seen = await call(socket, "all");
  assert.deepEqual(seen, await visitor.get(express, "/me"));
  assert.equal(seen.date, "1970-01-01T00:00:00.000Z");
  assert.deepEqual(seen.buffer, { type: "Buffer", data: [1, 2, 255] });
});

scenario("a value that is not touched stays as it is, byte for byte", async (t) => {
  const { redis, express, server } = await startSite(t);
  const visitor = await loggedIn(express);
  await visitor.post(express, "/odd");
  const before = await redis.client.get(visitor.key);
  const socket = await openSocket(t, server, visitor);
  await call(socket, "set", "mine", 1);
  await call(socket, "remove", "mine");
  const withoutDate = (record) => record.replace(/"expires":"[^"]*"/, "");
  assert.equal(withoutDate(await redis.client.get(visitor.key)), withoutDate(before));
});

scenario("so does text that JavaScript would write otherwise", oursAlone("writes all values anew"), async (t) => {
  const { redis, express, server } = await startSite(t);
  const visitor = await loggedIn(express);
  const foreign = [
    '"one":1.0',
    '"escaped":"\\u00e9\\/"',
    '"digits":123456789012345678901234567890',
    '"spaced": [ 1 , 2 ]',
    '"huge":1e400',
    '"twice":{"a":1,"a":2}',
    '"half":"\\ud83d"',
  ];
  const record = await redis.client.get(visitor.key);
  await redis.client.set(visitor.key, record.replace(/}$/, `,${foreign.join(",")}}`), { KEEPTTL: true });
  const socket = await openSocket(t, server, visitor);
  await call(socket, "set", "mine", 1);
  const after = await redis.client.get(visitor.key);
  for (const text of foreign) assert.ok(after.includes(text.replace('": ', '":')) || after.includes(text), `${text} in ${after}`);
  assert.equal((await visitor.get(express, "/me")).mine, 1);
});

scenario("what a socket writes has the date and the lifetime that Express gives", async (t) => {
  const max_age = 100_000;
  const { redis, express, server } = await startSite(t, { max_age });
  const visitor = await loggedIn(express);
  const before = await stored(redis, visitor);
  const socket = await openSocket(t, server, visitor);
  // In seconds, rounded up, as connect-redis does; a lifetime that a write must bring back.
  await redis.client.expire(visitor.key, 50);
  await call(socket, "set", "mine", 1);
  const { cookie } = await stored(redis, visitor);
  assert.deepEqual({ ...cookie, expires: 0 }, { ...before.cookie, expires: 0 });
  const left = Date.parse(cookie.expires) - Date.now();
  assert.ok(left > max_age - 10_000 && left <= max_age, `expires in ${left} ms`);
  const ttl = await redis.client.ttl(visitor.key);
  assert.ok(ttl > 90 && ttl <= 100, `kept for ${ttl} s`);
});

scenario("a cookie without a date: a day in the store, and the record says so", async (t) => {
  const { redis, express, server } = await startSite(t);
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  await redis.client.expire(visitor.key, 50);
  await call(socket, "set", "mine", 1);
  assert.deepEqual((await stored(redis, visitor)).cookie, { originalMaxAge: null, expires: null, httpOnly: true, path: "/" });
  assert.ok((await redis.client.ttl(visitor.key)) > 86_000);
});

scenario("a lifetime that a handler sets is kept, and counts in Express", async (t) => {
  const { redis, express, server } = await startSite(t, { max_age: 60_000 });
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  assert.equal(await call(socket, "max-age", 600_000), true);
  assert.equal((await stored(redis, visitor)).cookie.originalMaxAge, 600_000);
  assert.ok((await redis.client.ttl(visitor.key)) > 500);
  await visitor.post(express, "/set", { key: "a", value: 1 });
  assert.ok((await redis.client.ttl(visitor.key)) > 500);
});

scenario(
  "names that would hide a method of Express's session are refused",
  oursAlone("stores them, and loses them on the next request"),
  async (t) => {
    const { redis, express, server } = await startSite(t);
    const visitor = await loggedIn(express);
    const socket = await openSocket(t, server, visitor);
    const before = await redis.client.get(visitor.key);
    for (const key of ["cookie", "req", "id", "touch", "save", "reload", "destroy", "regenerate", "__proto__", "constructor", "toString"]) {
      await callInVain(socket, "set", key, { expires: 1 });
      assert.equal(await redis.client.get(visitor.key), before, key);
    }
    assert.deepEqual(await visitor.get(express, "/me"), { user: "ada" });
  },
);

scenario("prefix and secrets are the site's own", async (t) => {
  const { redis, express, server } = await startSite(t, { prefix: "shop:*?:", secret: "sécrèt 🔑,old secret" });
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  assert.equal(await call(socket, "get", "user"), "ada");
  await call(socket, "set", "mine", 1);
  assert.deepEqual(await redis.client.keys("*"), [`shop:*?:${visitor.sid}`]);
  assert.deepEqual(await visitor.get(express, "/me"), { user: "ada", mine: 1 });
});

for (const route of Object.keys(ROUTES)) {
  scenario(`${route}: a hundred steps of both sides, one after the other, leave what they say`, async (t) => {
    const { express, server, redis } = await startSite(t);
    const visitor = await loggedIn(express);
    const sockets = [await openSocket(t, server, visitor, route), await openSocket(t, server, visitor, route, { namespace: "/other" })];
    const model = { user: "ada" };
    const random = randomNumbers(7);
    for (let step = 0; step < 100; step++) {
      const key = `key ${random(5)}`;
      const value = Object.values(VALUES)[random(Object.keys(VALUES).length - 1)];
      const remove = random(4) === 0;
      const fields = remove ? { key } : { key, value };
      const name = remove ? "remove" : "set";
      const who = random(4);
      if (who < 2) await call(sockets[who], name, ...Object.values(fields));
      else await visitor.post(who === 2 ? express : server, `/${name}`, fields);
      if (remove) delete model[key];
      else model[key] = value;
      assert.deepEqual(await visitor.get(express, "/me"), model, `step ${step}`);
    }
    const { cookie, ...values } = await stored(redis, visitor);
    assert.deepEqual(values, model);
    await call(sockets[0], "reload");
    assert.deepEqual(await call(sockets[0], "all"), model);
  });
}

scenario("a visitor of each side is unknown to none, and to nobody else", async (t) => {
  const { express, server } = await startSite(t);
  const [ada, ben] = [await loggedIn(express, "ada"), await loggedIn(server, "ben")];
  for (const [visitor, user] of [
    [ada, "ada"],
    [ben, "ben"],
    [new Visitor(), undefined],
  ]) {
    assert.equal((await visitor.get(express, "/me")).user, user);
    assert.equal((await visitor.get(server, "/me")).user, user);
  }
});

/** Whole numbers below a bound; the same ones for the same seed. */
function randomNumbers(seed) {
  return (below) => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 16) % below;
  };
}
