// A logout from a socket reaches everybody who has the session open: both namespaces, other connections, other processes.
import assert from "node:assert/strict";
import { ROUTES, call, inboxOf } from "../support/clients.mjs";
import { next, scenario } from "../support/scenario.mjs";
import { openBoth, openSocket, startSite } from "../support/site.mjs";
import { oursAlone } from "../support/target.mjs";
import { loggedIn } from "../support/visitor.mjs";

const SOON = 1000;

for (const route of Object.keys(ROUTES)) {
  for (const end of ["reconnect", "disconnect"]) {
    scenario(
      `${route}: a logout from a socket ends all sockets of the session within a second (${end})`,
      oursAlone("does not reach other processes"),
      async (t) => {
        const { redis, express, servers } = await startSite(t, { end, grace: 100 }, { servers: 2 });
        const visitor = await loggedIn(express);
        const bystander = await openSocket(t, servers[1], await loggedIn(express, "someone else"), route);
        const sockets = [];
        for (const server of servers) {
          sockets.push(...(await openBoth(t, server, visitor, route)));
          sockets.push(await openSocket(t, server, visitor, "websocket"));
          sockets.push(await openSocket(t, server, visitor, "polling", { namespace: "/other" }));
        }
        for (const socket of sockets) assert.equal(await call(socket, "get", "user"), "ada");

        const ended = sockets.map((socket) => next(socket, "disconnect", SOON));
        assert.equal(await call(sockets[0], "destroy"), true);
        await Promise.all(ended);

        for (const server of [express, ...servers]) assert.deepEqual(await visitor.clone().get(server, "/me"), {});
        // Somebody who still has the old cookie gets another session.
        const late = await openSocket(t, servers[1], visitor.clone(), route);
        assert.equal(await call(late, "get", "user"), null);
        assert.notEqual(await call(late, "id"), visitor.sid);
        assert.equal(await redis.client.exists(visitor.key), 0);
        assert.equal(await call(bystander, "get", "user"), "someone else");
      },
    );
  }

  scenario(`${route}: a logout from a socket is one in Express`, async (t) => {
    const { express, server } = await startSite(t, { grace: 100 });
    const visitor = await loggedIn(express);
    const socket = await openSocket(t, server, visitor, route);
    const ended = next(socket, "disconnect", SOON);
    assert.equal(await call(socket, "destroy"), true);
    assert.deepEqual(await visitor.get(express, "/me"), {});
    await ended;
    assert.deepEqual(await visitor.get(express, "/me"), {});
  });

  scenario(
    `${route}: who changes the session while another logs out does not bring it back`,
    oursAlone("saves whatever it holds"),
    async (t) => {
      const { redis, express, servers } = await startSite(t, { end: "callback", grace: 0 }, { servers: 2 });
      const visitor = await loggedIn(express);
      const writers = [];
      for (const server of servers)
        writers.push(await openSocket(t, server, visitor, route), await openSocket(t, server, visitor, route, { namespace: "/other" }));
      const underWay = writers.map((socket) => call(socket, "set-slow", "late", 1, 500));
      await visitor.clone().post(express, "/logout");
      for (const answer of await Promise.all(underWay)) assert.equal(typeof answer.error, "string", JSON.stringify(answer));
      assert.equal(await redis.client.dbSize(), 0);
    },
  );
}

scenario("an event for all sockets of a session reaches them, and no others", async (t) => {
  const { express, server } = await startSite(t);
  const visitor = await loggedIn(express);
  const sockets = [];
  for (const route of Object.keys(ROUTES)) sockets.push(await openSocket(t, server, visitor, route));
  const other = await openSocket(t, server, await loggedIn(express, "someone else"));
  const inboxes = sockets.map((socket) => inboxOf(socket, "news"));
  const others = inboxOf(other, "news");
  assert.equal(await call(sockets[0], "broadcast-in-session", "news"), true);
  for (const inbox of inboxes) assert.deepEqual(await inbox.take(), []);
  // What was sent before the answer would have come before it.
  await call(other, "echo", "fence");
  assert.equal(others.size, 0);
});
