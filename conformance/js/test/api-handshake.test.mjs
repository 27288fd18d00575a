// What the server learns of a client when it connects.
import assert from "node:assert/strict";
import { ROUTES, call, connectSocket, manager, socketClient } from "../support/clients.mjs";
import { next, scenario } from "../support/scenario.mjs";
import { apiServer } from "../support/target.mjs";

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: headers, address, address of the request, query and authentication`, async (t) => {
    const server = await apiServer(t);
    const socket = await connectSocket(t, server, {
      ...options,
      query: { token: "a b", list: "1,2", "ké=y": "&=é" },
      auth: { user: "ada", roles: ["admin"] },
      extraHeaders: { "X-Custom": "custom", cookie: "a=1; b=2" },
    });
    const { headers, time, address, secure, xdomain, url, query, auth, issued } = await call(socket, "handshake");
    assert.equal(headers["x-custom"], "custom");
    assert.equal(headers.cookie, "a=1; b=2");
    assert.equal(headers.host, `127.0.0.1:${server.port}`);
    assert.match(address, /^(::ffff:)?127\.0\.0\.1$/);
    assert.deepEqual([secure, xdomain], [false, false]);
    assert.match(url, /^\/socket\.io\/\?/);
    assert.match(url, new RegExp(`EIO=4&transport=${options.transports[0]}`));
    const { token, list, "ké=y": encoded, EIO, transport } = query;
    assert.deepEqual([token, list, encoded, EIO, transport], ["a b", "1,2", "&=é", "4", options.transports[0]]);
    assert.deepEqual(auth, { user: "ada", roles: ["admin"] });
    for (const when of [issued, Date.parse(time)]) assert.ok(Math.abs(Date.now() - when) < 60_000, `${issued}, ${time}`);
  });

  scenario(`${route}: the transport is known, and changes with the upgrade`, async (t) => {
    const server = await apiServer(t);
    const socket = socketClient(t, server, options);
    await next(socket.connect(), "connect");
    assert.equal((await server.report("connect", socket.id)).transport, options.transports[0]);
    if (route === "upgrade") assert.equal((await server.report("upgrade", socket.id)).transport, "websocket");
    assert.equal((await call(socket, "state")).transport, options.transports.at(-1));
  });
}

scenario("a request from another origin is known as such", async (t) => {
  const socket = await connectSocket(t, await apiServer(t), { extraHeaders: { origin: "https://example.com" } });
  const { xdomain, headers } = await call(socket, "handshake");
  assert.deepEqual([xdomain, headers.origin], [true, "https://example.com"]);
});

scenario("without authentication there is an empty object", async (t) => {
  const socket = await connectSocket(t, await apiServer(t));
  assert.deepEqual((await call(socket, "handshake")).auth, {});
});

scenario("each namespace has its own authentication, and the request of the connection", async (t) => {
  const connection = manager(t, await apiServer(t), { query: { token: "shared" } });
  const main = connection.socket("/", { auth: { for: "main" } });
  const other = connection.socket("/other", { auth: { for: "other" } });
  for (const socket of [main, other]) await next(socket.connect(), "connect");
  const [first, second] = [await call(main, "handshake"), await call(other, "handshake")];
  assert.deepEqual([first.auth, second.auth], [{ for: "main" }, { for: "other" }]);
  assert.equal(second.query.token, "shared");
  assert.equal(first.url, second.url);
});

scenario("the client's authentication is asked for each time it joins", async (t) => {
  const server = await apiServer(t);
  let nth = 0;
  const socket = await connectSocket(t, server, { auth: (give) => give({ nth: ++nth }) });
  assert.deepEqual((await call(socket, "handshake")).auth, { nth: 1 });
  await next(socket.disconnect().connect(), "connect");
  assert.deepEqual((await call(socket, "handshake")).auth, { nth: 2 });
});

scenario("authentication may be large and deep", async (t) => {
  let deep = {};
  for (let level = 0; level < 50; level++) deep = { deep, list: [level] };
  const auth = { text: "x".repeat(100_000), deep };
  const socket = await connectSocket(t, await apiServer(t), { auth });
  assert.deepEqual((await call(socket, "handshake")).auth, auth);
});

scenario("other origins are allowed as the server is told", async (t) => {
  const { url } = await apiServer(t, { cors: "http://localhost:54023" });
  const address = `${url}/socket.io/?EIO=4&transport=polling`;
  const headers = { origin: "http://localhost:54023" };
  const preflight = await fetch(address, { method: "OPTIONS", headers });
  assert.equal(preflight.status, 204);
  for (const response of [preflight, await fetch(address, { headers })]) {
    assert.equal(response.headers.get("access-control-allow-origin"), "http://localhost:54023");
    assert.equal(response.headers.get("access-control-allow-credentials"), "true");
  }
});

scenario("a request that is not allowed is refused", async (t) => {
  const server = await apiServer(t);
  const socket = socketClient(t, server, { query: { deny: "1" } });
  socket.connect();
  const [error] = await next(socket, "connect_error");
  assert.equal(error.context?.status ?? error.description, 403);
});
