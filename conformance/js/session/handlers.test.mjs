// What handlers do with the session: it is saved before the answer leaves, and only if they succeed.
import assert from "node:assert/strict";
import { ROUTES, call } from "../support/clients.mjs";
import { next, scenario, until } from "../support/scenario.mjs";
import { assertFailed, callInVain, openBoth, openSocket, startSite, stored } from "../support/site.mjs";
import { oursAlone } from "../support/target.mjs";
import { loggedIn } from "../support/visitor.mjs";

for (const route of Object.keys(ROUTES)) {
  scenario(`${route}: a change is stored when its answer comes`, async (t) => {
    const { redis, express, server } = await startSite(t);
    const visitor = await loggedIn(express);
    const socket = await openSocket(t, server, visitor, route);
    const values = async () => {
      const { cookie, ...values } = await stored(redis, visitor);
      return values;
    };
    assert.equal(await call(socket, "set", "a", 1), true);
    assert.deepEqual(await values(), { user: "ada", a: 1 });
    assert.equal(await call(socket, "increment", "a"), 2);
    assert.deepEqual(await values(), { user: "ada", a: 2 });
    assert.equal(await call(socket, "slow-set", "b", [], 50), true);
    assert.deepEqual(await values(), { user: "ada", a: 2, b: [] });
    assert.equal(await call(socket, "set-slow", "b", {}, 50), true);
    assert.deepEqual(await values(), { user: "ada", a: 2, b: {} });
    assert.equal(await call(socket, "remove", "a"), true);
    assert.deepEqual(await values(), { user: "ada", b: {} });
  });

  scenario(`${route}: a handler that fails changes nothing`, async (t) => {
    const { redis, express, server } = await startSite(t);
    const visitor = await loggedIn(express);
    const socket = await openSocket(t, server, visitor, route);
    const before = await redis.client.get(visitor.key);
    assertFailed(await call(socket, "fail-set", "user", "mallory"));
    assert.equal(await redis.client.get(visitor.key), before);
    assert.equal(await call(socket, "get", "user"), "ada");
    // Nor does it come along with a later change.
    await call(socket, "set", "a", 1);
    assert.deepEqual(await visitor.get(express, "/me"), { user: "ada", a: 1 });
  });

  scenario(`${route}: both namespaces, and all connections of a visitor, have one session`, async (t) => {
    const { express, server } = await startSite(t);
    const visitor = await loggedIn(express);
    const sockets = [...(await openBoth(t, server, visitor, route)), ...(await openBoth(t, server, visitor, "websocket"))];
    for (const [nth, socket] of sockets.entries()) {
      await call(socket, "set", "value", nth);
      for (const reader of sockets) assert.equal(await call(reader, "get", "value"), nth);
      assert.equal(await call(socket, "increment", "count"), nth + 1);
    }
    assert.deepEqual(await visitor.get(express, "/me"), { user: "ada", value: sockets.length - 1, count: sockets.length });
  });

  scenario(`${route}: handlers of connecting and disconnecting save too`, async (t) => {
    const { express, server } = await startSite(t, { connect_counts: true, disconnect_counts: true });
    const visitor = await loggedIn(express);
    for (let nth = 1; nth <= 3; nth++) {
      const socket = await openSocket(t, server, visitor, route);
      await until("counted", async () => (await visitor.get(express, "/me")).connects === nth);
      socket.disconnect();
      await until("counted", async () => (await visitor.get(express, "/me")).disconnects === nth);
    }
  });
}

scenario("the disconnect handler saves, whatever ended the connection", async (t) => {
  const { express, server } = await startSite(t, { disconnect_counts: true });
  const visitor = await loggedIn(express);
  const ways = [
    (socket) => socket.disconnect(),
    (socket) => socket.io.engine.close(),
    (socket) => socket.io.engine.transport.ws.terminate(),
  ];
  for (const [nth, end] of ways.entries()) {
    end(await openSocket(t, server, visitor));
    await until("counted", async () => (await visitor.get(express, "/me")).disconnects === nth + 1);
  }
});

scenario(
  "fifty visits at once are counted, those who leave at once too",
  oursAlone("overwrites what others have written meanwhile"),
  async (t) => {
    const { express, server } = await startSite(t, { connect_counts: true, disconnect_counts: true });
    const visitor = await loggedIn(express);
    await Promise.all(
      Array.from({ length: 50 }, async () => {
        const socket = await openSocket(t, server, visitor);
        socket.disconnect();
      }),
    );
    await until("counted", async () => {
      const { connects, disconnects } = await visitor.get(express, "/me");
      return connects === 50 && disconnects === 50;
    });
  },
);

scenario("is-new, cookie, save, touch and reload", async (t) => {
  const max_age = 100_000;
  const { redis, express, server } = await startSite(t, { max_age });
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  assert.equal(await call(socket, "is-new"), false);
  const { originalMaxAge, expires } = (await stored(redis, visitor)).cookie;
  assert.deepEqual(await call(socket, "cookie"), { originalMaxAge, expires });
  for (const event of ["save", "touch", "reload"]) assert.equal(await call(socket, event), true, event);
  assert.deepEqual(await visitor.get(express, "/me"), { user: "ada" });
});

scenario("touching brings the whole lifetime back", oursAlone("changes the object alone"), async (t) => {
  const { redis, express, server } = await startSite(t, { max_age: 100_000, touch: "never" });
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  await redis.client.expire(visitor.key, 50);
  assert.equal(await call(socket, "touch"), true);
  assert.ok((await redis.client.ttl(visitor.key)) > 90);
});

scenario(
  "a new id from a socket logs nobody out in silence",
  oursAlone("leaves the browser with a cookie that is worth nothing"),
  async (t) => {
    const { express, server } = await startSite(t);
    const visitor = await loggedIn(express);
    const socket = await openSocket(t, server, visitor);
    await call(socket, "regenerate");
    // It was refused, or the old cookie is good until the new one is fetched.
    assert.equal((await visitor.clone().get(express, "/me")).user, "ada");
  },
);

scenario("after a logout handlers fail, and bring nothing back", oursAlone("saves whatever it holds"), async (t) => {
  const { redis, express, server } = await startSite(t, { end: "callback", grace: 0 });
  const visitor = await loggedIn(express);
  const sockets = await openBoth(t, server, visitor);
  await visitor.clone().post(express, "/logout");
  await server.report("end");
  for (const socket of sockets) {
    for (const event of [["set", "user", "ada"], ["increment", "count"], ["set-slow", "user", "ada", 10], ["reload"], ["max-age", 1000]])
      await callInVain(socket, ...event);
    assert.equal(await call(socket, "get", "user").then((user) => user?.error ?? user), null);
  }
  assert.equal(await redis.client.dbSize(), 0);
});

scenario("the server reports why a socket left", async (t) => {
  const { express, server } = await startSite(t);
  const socket = await openSocket(t, server, await loggedIn(express));
  const { id } = socket;
  const ended = next(socket, "disconnect");
  socket.disconnect();
  await ended;
  assert.equal((await server.report("disconnect", id)).reason, "client namespace disconnect");
});
