// The example `express_login`: started and ended as a person does it, with one command and Ctrl-C.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { connect } from "node:net";
import { createInterface } from "node:readline";
import { after, before } from "node:test";
import { call, inboxOf, socketClient } from "../support/clients.mjs";
import { next, scenario, within } from "../support/scenario.mjs";
import { Visitor } from "../support/visitor.mjs";

let program, exited, redis, sockets, site;

before(async () => {
  const env = { ...process.env, PORT: "0", EXPRESS_PORT: "0" };
  program = spawn(process.env.EXPRESS_LOGIN_PROGRAM, { env, stdio: ["ignore", "pipe", "inherit"] });
  exited = once(program, "exit");
  // The first time it fetches packages from npm.
  await within(120_000, "site", (resolve, reject) => {
    exited.then(([code]) => reject(new Error(`it ended with ${code}`)));
    createInterface(program.stdout).on("line", (line) => {
      const addresses = line.match(/^Redis on (\S+), sockets on (\S+);/);
      if (addresses) [redis, sockets] = addresses.slice(1).map((url) => ({ url }));
      if (line.startsWith("listening on ")) resolve((site = { url: line.replace("listening on ", "") }));
    });
  });
});
after(() => program.kill("SIGINT"));

/** A visitor who has filled in the form. */
async function login(user) {
  const visitor = new Visitor();
  await submit(visitor, "/login", { user });
  return visitor;
}

async function submit(visitor, path, fields = {}) {
  const form = { method: "POST", body: new URLSearchParams(fields), redirect: "manual" };
  assert.equal((await visitor.request(site, path, form)).status, 302);
}

async function page(visitor) {
  return (await visitor.request(site, "/")).text();
}

/** A socket as the page opens it. */
async function openSocket(t, visitor, options = {}) {
  visitor.extraHeaders.origin = site.url;
  const socket = socketClient(t, sockets, { extraHeaders: visitor.extraHeaders, ...options });
  socket.seen = inboxOf(socket, "session");
  await next(socket.connect(), "connect");
  return socket;
}

const cartIs = (cart) => ([seen]) => seen.cart.join() === cart;

scenario("who logs in at Express is known to the sockets, and each sees the other's changes", async (t) => {
  const ada = await login("Ada & Co");
  const html = await page(ada);
  assert.match(html, /Hello <b id="express-user">Ada &#38; Co</);
  assert.ok(html.includes(`data-sockets="${sockets.url}"`));

  const [one, two] = [await openSocket(t, ada), await openSocket(t, ada)];
  assert.deepEqual(await one.seen.take(), [{ user: "Ada & Co", cart: [] }]);
  assert.deepEqual(await call(one, "add", "apples"), {});
  assert.match(await page(ada), /id="express-cart">apples</);
  await two.seen.find(cartIs("apples"));
  assert.deepEqual(await call(two, "add", "<pears>"), {});
  assert.match(await page(ada), /id="express-cart">apples, &#60;pears&#62;</);
  assert.match((await call(one, "add", "")).error, /1 to 30 characters/);
});

scenario("a logout at Express ends the sockets, which come back as nobody", async (t) => {
  const ada = await login("Ada");
  const socket = await openSocket(t, ada, { reconnection: true, reconnectionDelay: 10 });
  await socket.seen.take();
  const [ended, back] = [next(socket, "disconnect"), next(socket, "connect")];
  await submit(ada, "/logout");
  const since = Date.now();
  assert.deepEqual((await ended)[0], "transport close");
  t.diagnostic(`ended ${Date.now() - since} ms after the answer to the logout`);
  await back;
  await socket.seen.find(([{ user }]) => user === null);
  assert.deepEqual(await call(socket, "add", "apples"), { error: "log in first" });
  assert.match(await page(ada), /Your name/);
});

scenario("pages may connect from Express's origin, and from no other", async () => {
  const answer = async (origin) => {
    const { cookie } = (await login("Eve")).extraHeaders;
    const response = await fetch(`${sockets.url}/socket.io/?EIO=4&transport=polling`, { headers: { origin, cookie } });
    const allowed = ["origin", "credentials"].map((name) => response.headers.get(`access-control-allow-${name}`));
    return [response.status, ...allowed];
  };
  assert.deepEqual(await answer(site.url), [200, site.url, "true"]);
  assert.equal((await answer("https://evil.example"))[0], 403);
});

scenario("Ctrl-C ends all three", async () => {
  program.kill("SIGINT");
  assert.deepEqual(await exited, [0, null]);
  for (const { url } of [redis, sockets, site]) {
    const { port } = new URL(url);
    const [error] = await once(connect(port, "127.0.0.1"), "error");
    assert.equal(error.code, "ECONNREFUSED", url);
  }
});

scenario("without Redis it says what to do", async () => {
  const env = { ...process.env, PORT: "0", REDIS_SERVER: "/nowhere/redis-server" };
  const alone = spawn(process.env.EXPRESS_LOGIN_PROGRAM, { env });
  let said = "";
  alone.stderr.on("data", (data) => (said += data));
  assert.notEqual((await once(alone, "close"))[0], 0);
  assert.match(said, /apt-get install redis-server/);
});
