// What a handshake asks of the store, stores, and answers in `Set-Cookie`.
import assert from "node:assert/strict";
import { ROUTES, call } from "../support/clients.mjs";
import { Polling, rawWebSocket } from "../support/raw.mjs";
import { next, scenario } from "../support/scenario.mjs";
import { openBoth, openSocket, startSite, stored } from "../support/site.mjs";
import { oursAlone } from "../support/target.mjs";
import { Visitor, loggedIn } from "../support/visitor.mjs";

const PATH = { path: "/socket.io/" };
const POLLING = "/socket.io/?EIO=4&transport=polling";

/** The `Set-Cookie` lines of a handshake, and its status. */
const HANDSHAKES = {
  polling: async (server, headers = {}) => {
    const response = await fetch(server.url + POLLING, { headers });
    // Express stores the session while the last byte of the answer waits.
    await response.text();
    return { status: response.status, cookies: response.headers.getSetCookie() };
  },
  websocket: (server, headers) => rawWebSocket(server, { ...PATH, headers }).answered(),
};

for (const [transport, handshake] of Object.entries(HANDSHAKES)) {
  scenario(`${transport}: who comes without a session gets none, and the store is not asked`, async (t) => {
    const { redis, server } = await startSite(t);
    let answer;
    const commands = await redis.commands(async () => (answer = await handshake(server)));
    assert.deepEqual(answer.cookies, []);
    assert.deepEqual(commands, []);
  });

  scenario(
    `${transport}: a new session is stored when the handshake has been answered`,
    transport === "polling" ? {} : oursAlone("does not store it"),
    async (t) => {
      const { redis, express, server } = await startSite(t, { save_uninitialized: true, max_age: 60_000 });
      const { cookies } = await handshake(server);
      assert.equal(cookies.length, 1);
      assert.match(cookies[0], /^connect\.sid=s%3A[\w-]{32}\.[\w%]{43,}; Path=\/; Expires=[^;]+ GMT; HttpOnly$/);
      const visitor = new Visitor();
      visitor.keep(cookies);
      const { cookie } = await stored(redis, visitor);
      assert.equal(cookie.originalMaxAge, 60_000);
      const { signed } = visitor;
      await visitor.post(express, "/set", { key: "a", value: 1 });
      assert.equal((await visitor.get(server, "/me")).a, 1);
      assert.equal(visitor.signed, signed);
    },
  );

  scenario(`${transport}: who has a session gets no other cookie`, async (t) => {
    const { express, server } = await startSite(t, { max_age: 60_000 });
    const visitor = await loggedIn(express);
    assert.deepEqual((await handshake(server, visitor.extraHeaders)).cookies, []);
  });

  scenario(`${transport}: rolling, the cookie is given again with a new date`, async (t) => {
    const { express, server } = await startSite(t, { max_age: 60_000, rolling: true });
    const visitor = await loggedIn(express);
    const { cookies } = await handshake(server, visitor.extraHeaders);
    assert.equal(cookies.length, 1);
    assert.ok(cookies[0].startsWith(`connect.sid=${visitor.signed}; Path=/; Expires=`), cookies[0]);
  });

  scenario(`${transport}: two cookies are two lines`, transport === "polling" ? {} : oursAlone("folds them into one"), async (t) => {
    const { server } = await startSite(t, { save_uninitialized: true, second_cookie: true });
    const { cookies } = await handshake(server);
    assert.deepEqual(cookies.map((cookie) => cookie.replace(/=.*/, "")).sort(), ["connect.sid", "theme"]);
  });

  scenario(`${transport}: behind a proxy the cookie is as strict as that of a page`, oursAlone("does not ask the proxy"), async (t) => {
    const { express, server } = await startSite(t, { save_uninitialized: true, proxy: true, secure: "auto", same_site: "auto" });
    const attributes = (cookies) => cookies.map((cookie) => cookie.replace(/^[^;]*; /, ""));
    for (const [protocol, expected] of [
      ["https", "Path=/; HttpOnly; Secure; SameSite=None"],
      ["HTTPS , http", "Path=/; HttpOnly; Secure; SameSite=None"],
      ["http, https", "Path=/; HttpOnly; SameSite=Lax"],
      [undefined, "Path=/; HttpOnly; SameSite=Lax"],
    ]) {
      const headers = protocol ? { "x-forwarded-proto": protocol } : {};
      assert.deepEqual(attributes((await handshake(server, headers)).cookies), [expected], protocol);
      for (const page of [express, server]) {
        // Express takes `HTTPS` in upper case for something else.
        if (page === express && protocol?.startsWith("HTTPS")) continue;
        const { headers: answered } = await fetch(`${page.url}/me`, { headers });
        assert.deepEqual(attributes(answered.getSetCookie()), [expected], protocol);
      }
    }
  });

  scenario(`${transport}: without a proxy that is trusted, its headers say nothing`, async (t) => {
    const { server } = await startSite(t, { save_uninitialized: true, secure: "true" });
    assert.deepEqual((await handshake(server, { "x-forwarded-proto": "https" })).cookies, []);
  });

  scenario(`${transport}: pages of other origins are refused before the store is asked`, oursAlone("lets everybody in"), async (t) => {
    const { redis, express, server } = await startSite(t, { origins: "https://app.example" });
    const { extraHeaders } = await loggedIn(express);
    const commands = await redis.commands(async () => {
      for (const origin of [
        "https://evil.example",
        "null",
        "https://app.example:8443",
        "https://app.example.evil.example",
        "http://127.0.0.1",
        "",
      ]) {
        assert.equal((await handshake(server, { ...extraHeaders, origin })).status, 403, origin);
      }
    });
    assert.deepEqual(commands, []);
    for (const origin of ["https://app.example", server.url]) {
      const { status } = await handshake(server, { ...extraHeaders, origin });
      assert.equal(status, transport === "polling" ? 200 : 101, origin);
    }
  });

  scenario(`${transport}: one question to the store for a handshake`, oursAlone("asks for every poll"), async (t) => {
    const { redis, express, server } = await startSite(t, { touch: "never" });
    const visitor = await loggedIn(express);
    const commands = await redis.commands(() => handshake(server, visitor.extraHeaders));
    assert.equal(commands.length, 1, JSON.stringify(commands));
    assert.equal(commands[0].key, visitor.key);
  });
}

for (const route of Object.keys(ROUTES)) {
  scenario(
    `${route}: nothing is asked for what does not touch the session, and one question for both namespaces`,
    oursAlone("asks for every poll"),
    async (t) => {
      const { redis, express, server } = await startSite(t, { touch: "never" });
      const visitor = await loggedIn(express);
      const sockets = [];
      const opening = await redis.commands(async () => sockets.push(...(await openBoth(t, server, visitor, route))));
      assert.equal(opening.length, 1, JSON.stringify(opening));
      const commands = await redis.commands(async () => {
        for (const socket of sockets) {
          for (let nth = 0; nth < 20; nth++) assert.equal(await call(socket, "echo", nth), nth);
          assert.equal(await call(socket, "get", "user"), "ada");
          assert.deepEqual(await call(socket, "all"), { user: "ada" });
          assert.equal(await call(socket, "is-new"), false);
          // The value that it has: no change.
          assert.equal(await call(socket, "set", "user", "ada"), true);
          assert.equal(await call(socket, "remove", "nothing"), true);
        }
      });
      assert.deepEqual(commands, []);
    },
  );

  scenario(
    `${route}: a change costs one question, and the echo of it on the connection that watches`,
    oursAlone("reads before it writes"),
    async (t) => {
      const { redis, express, server } = await startSite(t, { touch: "never" });
      const visitor = await loggedIn(express);
      const socket = await openSocket(t, server, visitor, route);
      // Once, to make the script known that compares and sets.
      await call(socket, "set", "mine", 0);
      const commands = await redis.commands(() => call(socket, "set", "mine", 1));
      const writes = commands.filter(({ name }) => name !== "get");
      assert.equal(writes.length, 1, JSON.stringify(commands));
      assert.ok(commands.length <= 2, JSON.stringify(commands));
      assert.equal(writes[0].key, visitor.key);
    },
  );
}

scenario(
  "reload=packet asks the store before each handler that has to do with the session",
  oursAlone("leaves it to the handler"),
  async (t) => {
    const { redis, express, server } = await startSite(t, { reload: "packet", touch: "never" });
    const visitor = await loggedIn(express);
    const socket = await openSocket(t, server, visitor);
    for (const value of [1, 2, 3]) {
      await visitor.post(express, "/set", { key: "value", value });
      assert.equal(await call(socket, "get", "value"), value);
    }
    const commands = await redis.commands(() => call(socket, "get", "value"));
    assert.equal(commands.filter(({ name }) => name === "get").length, 1, JSON.stringify(commands));
  },
);

scenario(
  "requests that are no handshake store nothing, and ask nothing",
  oursAlone("has its middleware run before it looks at the request"),
  async (t) => {
    const { redis, express, server } = await startSite(t, { save_uninitialized: true });
    const visitor = await loggedIn(express);
    const commands = await redis.commands(async () => {
      for (const headers of [{}, visitor.extraHeaders]) {
        for (const query of [
          "",
          "?EIO=4",
          "?EIO=4&transport=tachyon",
          "?EIO=4&transport=polling&sid=unknown",
          "?EIO=3&transport=polling",
          "?EIO=4&transport=websocket",
        ]) {
          const response = await fetch(`${server.url}/socket.io/${query}`, { headers });
          assert.ok(response.status >= 400, `${query}: ${response.status}`);
          assert.deepEqual(response.headers.getSetCookie(), [], query);
        }
        const post = await fetch(server.url + POLLING, { method: "POST", body: "40", headers });
        assert.equal(post.status, 400);
        assert.deepEqual(post.headers.getSetCookie(), []);
      }
    });
    assert.deepEqual(commands, []);
    assert.deepEqual(await redis.client.keys("*"), [visitor.key]);
  },
);

scenario("rolling, each poll gives the cookie again", async (t) => {
  const { express, server } = await startSite(t, { max_age: 60_000, rolling: true });
  const visitor = await loggedIn(express);
  const polling = new Polling(server, PATH);
  const opened = await visitor.request(server, POLLING);
  polling.sid = JSON.parse((await opened.text()).slice(1)).sid;
  await visitor.request(server, `${POLLING}&sid=${polling.sid}`, { method: "POST", body: "40" });
  const poll = await visitor.request(server, `${POLLING}&sid=${polling.sid}`);
  assert.match(await poll.text(), /^40/);
  const [cookie] = poll.headers.getSetCookie();
  assert.ok(cookie?.startsWith(`connect.sid=${visitor.signed}; Path=/; Expires=`), cookie);
});

scenario("after the upgrade a socket is of the session that its handshake was of", async (t) => {
  const { express, server } = await startSite(t);
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor, "upgrade");
  assert.equal(socket.io.engine.transport.name, "websocket");
  assert.equal(await call(socket, "id"), visitor.sid);
  assert.equal(await call(socket, "set", "mine", 1), true);
  assert.deepEqual(await visitor.get(express, "/me"), { user: "ada", mine: 1 });
});

scenario("a connection that was lost comes back to its session", async (t) => {
  const { express, server } = await startSite(t);
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor, "websocket", { reconnection: true, reconnectionDelay: 10 });
  await call(socket, "set", "mine", 1);
  const back = next(socket.io, "reconnect");
  socket.io.engine.close();
  await back;
  assert.equal(await call(socket, "get", "mine"), 1);
});
