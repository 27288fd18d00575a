// Many writers of one session at once: sockets in two processes, pages, Express.
import assert from "node:assert/strict";
import { ROUTES, call } from "../support/clients.mjs";
import { range, scenario } from "../support/scenario.mjs";
import { openSocket, startSite } from "../support/site.mjs";
import { oursAlone } from "../support/target.mjs";
import { loggedIn } from "../support/visitor.mjs";

const overwrites = oursAlone("overwrites what others have written meanwhile");

/** Sockets of one visitor, over all routes, dealt out to the servers. */
function openMany(t, servers, visitor, count) {
  const routes = Object.keys(ROUTES);
  return Promise.all(range(count).map((nth) => openSocket(t, servers[nth % servers.length], visitor, routes[nth % routes.length])));
}

/** Does `act` until `others` have ended, and once more; gives how often. */
async function meanwhile(others, act) {
  let running = true;
  others.finally(() => (running = false)).catch(() => {});
  let times = 0;
  do {
    await act(times++);
  } while (running);
  return times;
}

scenario(
  "forty writers of ours in two processes, Express reading: every increment counts, each answer comes once",
  overwrites,
  async (t) => {
    const { express, servers } = await startSite(t, { max_age: 600_000 }, { servers: 2 });
    const visitor = await loggedIn(express);
    const sockets = await openMany(t, servers, visitor, 36);
    const each = 10;
    const writers = [
      ...sockets.map((socket) => () => call(socket, "increment", "count")),
      ...[...servers, ...servers].map((server) => () => visitor.post(server, "/increment", { key: "count" })),
    ];
    const increments = Promise.all(
      writers.map(async (write) => {
        const answers = [];
        for (let nth = 0; nth < each; nth++) answers.push(await write());
        return answers;
      }),
    );
    let last = 0;
    await meanwhile(increments, async () => {
      // Express touches the session each time, which must neither lose nor hold up anything.
      const { user, count = 0 } = await visitor.get(express, "/me");
      assert.equal(user, "ada");
      assert.ok(count >= last, `${count} after ${last}`);
      last = count;
    });
    const answers = (await increments).flat().sort((one, other) => one - other);
    assert.deepEqual(
      answers,
      range(writers.length * each).map((nth) => nth + 1),
    );
    assert.deepEqual(await visitor.get(express, "/me"), { user: "ada", count: writers.length * each });
  },
);

scenario("twenty sockets set values of their own at once: all are there", overwrites, async (t) => {
  const { express, servers } = await startSite(t, {}, { servers: 2 });
  const visitor = await loggedIn(express);
  const sockets = await openMany(t, servers, visitor, 20);
  const expected = { user: "ada" };
  for (let round = 0; round < 5; round++) {
    const acks = sockets.map((socket, nth) => call(socket, "set", `key ${nth}`, (expected[`key ${nth}`] = [round, nth])));
    assert.deepEqual(
      await Promise.all(acks),
      range(20).map(() => true),
    );
    assert.deepEqual(await visitor.get(express, "/me"), expected);
  }
});

scenario("handlers that take their time, in both processes, change different values: all are there", overwrites, async (t) => {
  const { express, servers } = await startSite(t, {}, { servers: 2 });
  const visitor = await loggedIn(express);
  const sockets = await openMany(t, servers, visitor, 10);
  const acks = sockets.map((socket, nth) => call(socket, nth % 2 ? "set-slow" : "slow-set", `key ${nth}`, nth, 100 + 20 * nth));
  assert.deepEqual(
    await Promise.all(acks),
    range(10).map(() => true),
  );
  const expected = Object.fromEntries(range(10).map((nth) => [`key ${nth}`, nth]));
  assert.deepEqual(await visitor.get(express, "/me"), { user: "ada", ...expected });
});

scenario("a handler that takes its time does not undo what Express does meanwhile", overwrites, async (t) => {
  const { express, server } = await startSite(t);
  const visitor = await loggedIn(express);
  const socket = await openSocket(t, server, visitor);
  const slow = call(socket, "set-slow", "socket", 1, 500);
  await visitor.post(express, "/set", { key: "express", value: 2 });
  await visitor.post(express, "/remove", { key: "user" });
  assert.equal(await slow, true);
  assert.deepEqual(await visitor.get(express, "/me"), { socket: 1, express: 2 });
});

scenario("two handlers set the same value at once: one of them wins whole, neither fails", async (t) => {
  const { express, servers } = await startSite(t, {}, { servers: 2 });
  const visitor = await loggedIn(express);
  const sockets = await openMany(t, servers, visitor, 8);
  for (let round = 0; round < 10; round++) {
    const acks = sockets.map((socket, nth) => call(socket, "set", "value", { round, nth, twice: nth }));
    assert.deepEqual(
      await Promise.all(acks),
      range(8).map(() => true),
    );
    const { value } = await visitor.get(express, "/me");
    assert.equal(value.round, round);
    assert.equal(value.nth, value.twice);
  }
});

scenario("ours never undo what Express wrote, however many write", overwrites, async (t) => {
  // Express replaces the whole session. What it has not seen it undoes, which nobody can prevent from here; so nothing is
  // asked of the sockets' values but that a writer is told the truth about the session as it was then.
  const { express, servers } = await startSite(t, {}, { servers: 2 });
  const visitor = await loggedIn(express);
  const sockets = await openMany(t, servers, visitor, 20);
  const expected = { user: "ada" };
  let done = false;
  const writers = sockets.map(async (socket, nth) => {
    for (let count = 1; !done; count++) assert.equal(await call(socket, "set", `socket ${nth}`, count), true);
  });
  // One request at a time: at two, Express undoes its own.
  for (let nth = 0; nth < 60; nth++) {
    await visitor.post(express, "/set", { key: `express ${nth % 20}`, value: nth });
    expected[`express ${nth % 20}`] = nth;
    const me = await visitor.get(express, "/me");
    for (const [key, value] of Object.entries(expected)) assert.equal(me[key], value, `${key} after ${nth}`);
  }
  done = true;
  await Promise.all(writers);
  const me = await visitor.get(express, "/me");
  for (const [key, value] of Object.entries(expected)) assert.equal(me[key], value, key);
});

scenario("writers of both sides that take turns lose nothing", overwrites, async (t) => {
  const { express, servers } = await startSite(t, {}, { servers: 2 });
  const visitor = await loggedIn(express);
  const sockets = await openMany(t, servers, visitor, 20);
  for (let round = 1; round <= 20; round++) {
    await Promise.all(sockets.map((socket) => call(socket, "increment", "sockets")));
    assert.equal(await visitor.post(express, "/increment", { key: "express" }), round);
    assert.deepEqual(await visitor.get(express, "/me"), { user: "ada", sockets: 20 * round, express: round });
  }
});
