// The visitor's session: a signed cookie, one session over polling, WebSocket, upgrade and reconnect.
import assert from "node:assert/strict";
import { ROUTES, connectSocket } from "../support/clients.mjs";
import { Polling } from "../support/raw.mjs";
import { next, scenario } from "../support/scenario.mjs";
import { startProxy } from "../support/proxy.mjs";
import { socketServer } from "../support/target.mjs";

const PATH = { path: "/socket.io/" };

function call(socket, ...event) {
  return socket.timeout(10_000).emitWithAck(...event);
}

/** The session cookie that a first request gets, as a client sends it back. */
async function visitorsCookie(server) {
  const { response } = await Polling.open(server, PATH);
  const [cookie] = response.headers.getSetCookie();
  assert.match(cookie, /^connect\.sid=s%3A[\w-]+\.[\w%]+; Path=\/; HttpOnly/);
  return cookie.split(";")[0];
}

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: the visitor is known again`, async (t) => {
    const server = await socketServer(t);
    const extraHeaders = { cookie: await visitorsCookie(server) };
    const first = await connectSocket(t, server, { ...options, extraHeaders });
    assert.equal(await call(first, "visit"), 1);
    assert.equal(await call(first, "visit"), 2);
    assert.equal(await call(first, "log-in", "ada"), "ada");
    first.disconnect();
    const second = await connectSocket(t, server, { ...options, extraHeaders });
    assert.equal(await call(second, "visit"), 3);
    assert.equal(await call(second, "name"), "ada");
  });
}

scenario("the visitor is known after a reconnect", async (t) => {
  const server = await socketServer(t);
  const proxy = await startProxy(t, server);
  const extraHeaders = { cookie: await visitorsCookie(server) };
  const socket = await connectSocket(t, proxy, { extraHeaders, reconnection: true, reconnectionDelay: 50 });
  assert.equal(await call(socket, "visit"), 1);
  const ended = next(socket, "disconnect");
  proxy.cut();
  await ended;
  proxy.restore();
  await next(socket, "connect");
  assert.equal(await call(socket, "visit"), 2);
});

scenario("the client's own cookie jar carries the cookie to every request", async (t) => {
  const server = await socketServer(t);
  const socket = await connectSocket(t, server, { withCredentials: true, ...ROUTES.upgrade });
  assert.equal(await call(socket, "visit"), 1);
  const extraHeaders = { cookie: [...socket.io.engine._cookieJar.cookies].map(([name, { value }]) => `${name}=${value}`).join("; ") };
  const other = await connectSocket(t, server, { extraHeaders });
  assert.equal(await call(other, "visit"), 2);
});

scenario("two visitors have two sessions", async (t) => {
  const server = await socketServer(t);
  for (const name of ["ada", "ben"]) {
    const socket = await connectSocket(t, server, { extraHeaders: { cookie: await visitorsCookie(server) } });
    assert.equal(await call(socket, "name"), null);
    assert.equal(await call(socket, "visit"), 1);
    await call(socket, "log-in", name);
  }
});

scenario("two tabs of one visitor share a session", async (t) => {
  const server = await socketServer(t);
  const extraHeaders = { cookie: await visitorsCookie(server) };
  const one = await connectSocket(t, server, { ...ROUTES.polling, extraHeaders });
  const other = await connectSocket(t, server, { ...ROUTES.websocket, extraHeaders });
  assert.equal(await call(one, "visit"), 1);
  assert.equal(await call(other, "visit"), 2);
  await call(one, "log-in", "ada");
  assert.equal(await call(other, "name"), "ada");
});

scenario("a forged cookie names nobody's session", async (t) => {
  const server = await socketServer(t);
  const cookie = await visitorsCookie(server);
  const known = await connectSocket(t, server, { extraHeaders: { cookie } });
  await call(known, "log-in", "ada");
  const forged = [cookie.replace(/\..*/, ".AAAA"), cookie.replace(/.$/, (last) => (last === "A" ? "B" : "A")), "connect.sid=s%3Aguess"];
  for (const cookie of forged) {
    const socket = await connectSocket(t, server, { extraHeaders: { cookie } });
    assert.equal(await call(socket, "name"), null);
  }
});

scenario("no second cookie for who has one, and none after the handshake", async (t) => {
  const server = await socketServer(t);
  const cookie = await visitorsCookie(server);
  const known = await fetch(`${server.url}/socket.io/?EIO=4&transport=polling`, { headers: { cookie } });
  assert.deepEqual(known.headers.getSetCookie(), []);
});
