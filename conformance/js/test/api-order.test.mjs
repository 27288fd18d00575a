// Order, and much at once: nothing is lost, nobody is kept waiting by others.
import assert from "node:assert/strict";
import { ROUTES, assertOnly, call, connectSocket, inboxOf, manager } from "../support/clients.mjs";
import { startFlood } from "../support/flood.mjs";
import { startProxy } from "../support/proxy.mjs";
import { next, range, scenario, within } from "../support/scenario.mjs";
import { apiServer, oursAlone } from "../support/target.mjs";

/** Counts the events `number` and resolves when `count` have come in order, each with as much filling. */
function numbers(socket, count, size) {
  let expected = 0;
  return within(60_000, `number ${count}`, (resolve, reject) =>
    socket.on("number", (nth, filling) => {
      if (nth !== expected || filling.length !== size) return reject(new Error(`${nth} came instead of ${expected}`));
      if (++expected === count) resolve();
    }),
  );
}

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: 5,000 events start in order, though some handlers wait`, { timeout: 60_000 }, async (t) => {
    const socket = await connectSocket(t, await apiServer(t), options);
    for (const nth of range(5000)) socket.emit("step", nth);
    const log = await call(socket, "log");
    const starts = log.filter((entry) => entry.endsWith("starts"));
    assert.equal(starts.length, 5000);
    starts.forEach((entry, nth) => assert.equal(entry, `${nth} starts`));
  });

  scenario(`${route}: events sent across the first connection keep their order`, async (t) => {
    const socket = await connectSocket(t, await apiServer(t), { transports: options.transports });
    const echoes = inboxOf(socket, "echo");
    for (const nth of range(500)) {
      socket.emit("echo", nth);
      if (nth % 50 === 0) await call(socket, "log");
    }
    assert.deepEqual(await echoes.takeMany(500), range(500).map((nth) => [nth]));
  });

  scenario(`${route}: 1,000 events of 10 kB in one burst`, { timeout: 60_000 }, async (t) => {
    const socket = await connectSocket(t, await apiServer(t), options);
    const all = numbers(socket, 1000, 10_000);
    socket.emit("burst", 1000, 10_000);
    await all;
  });
}

scenario("handlers of one socket run one after the other where that is asked for", oursAlone("starts them at once"), async (t) => {
  const socket = await connectSocket(t, await apiServer(t), ROUTES.websocket, "/ordered");
  for (const nth of range(1000)) socket.emit("step", nth);
  assert.deepEqual(await call(socket, "log"), range(1000).flatMap((nth) => [`${nth} starts`, `${nth} ends`]));
});

scenario("an event waits for the handler of the one before, other namespaces do not", oursAlone("starts them at once"), async (t) => {
  const connection = manager(t, await apiServer(t), ROUTES.websocket);
  const [main, ordered] = ["/", "/ordered"].map((namespace) => connection.socket(namespace));
  for (const socket of [main, ordered]) await next(socket.connect(), "connect");
  const answers = [];
  const all = [call(ordered, "answer-later", "first"), call(ordered, "echo", "second")].map((answer) =>
    answer.then((value) => answers.push(value)),
  );
  assert.equal(await call(main, "echo", "fence"), "fence");
  assert.deepEqual(answers, []);
  main.emit("release");
  await Promise.all(all);
  assert.deepEqual(answers, ["first", "second"]);
});

scenario("a handler that waits for its client's answer does not wait for itself", oursAlone("starts them at once"), async (t) => {
  const socket = await connectSocket(t, await apiServer(t), ROUTES.websocket, "/ordered");
  socket.on("question", (question, ack) => ack(question));
  const answers = range(3).map((nth) => call(socket, "ask", 10_000, nth));
  assert.deepEqual(await Promise.all(answers), range(3).map((nth) => ({ answers: [nth] })));
});

scenario("5,000 events of 100 kB in one burst", { timeout: 90_000 }, async (t) => {
  const socket = await connectSocket(t, await apiServer(t), ROUTES.websocket);
  const all = numbers(socket, 5000, 100_000);
  socket.emit("burst", 5000, 100_000);
  await all;
});

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: a client that reads slowly misses nothing`, { timeout: 60_000 }, async (t) => {
    const server = await apiServer(t);
    const proxy = await startProxy(t, server);
    const slow = await connectSocket(t, proxy, options);
    const other = await connectSocket(t, server);
    let count = 0;
    slow.on("number", () => count++);
    const all = numbers(slow, 2000, 10_000);
    proxy.pause();
    slow.emit("burst", 2000, 10_000);
    for (const nth of range(20)) assert.equal(await call(other, "echo", nth), nth);
    assert.ok(count < 2000, "it was slow");
    proxy.resume();
    await all;
    assert.equal(await call(slow, "echo", "served"), "served");
  });
}

scenario("a flood from one client does not stop the others", { timeout: 60_000 }, async (t) => {
  const server = await apiServer(t);
  const flood = await startFlood(t, server);
  const others = await Promise.all(Object.values(ROUTES).map((options) => connectSocket(t, server, options)));
  const before = await flood.sent();
  for (const nth of range(10)) for (const other of others) assert.equal(await call(other, "echo", nth), nth);
  assert.ok((await flood.sent()) > before, "the flood goes on");
});

scenario("clients that all speak at once are all answered", { timeout: 60_000 }, async (t) => {
  const server = await apiServer(t);
  const routes = Object.values(ROUTES);
  const sockets = await Promise.all(range(30).map((nth) => connectSocket(t, server, routes[nth % 3])));
  await Promise.all(
    sockets.map(async (socket, at) => {
      const answers = await Promise.all(range(100).map((nth) => call(socket, "echo", `${at} ${nth}`)));
      assert.deepEqual(answers, range(100).map((nth) => `${at} ${nth}`));
    }),
  );
});

scenario("events in both directions and broadcasts at once keep each their order", async (t) => {
  const server = await apiServer(t);
  const [ada, ben] = [await connectSocket(t, server, ROUTES.websocket), await connectSocket(t, server)];
  const [echoes, heard] = [inboxOf(ada, "echo"), inboxOf(ada, "heard")];
  for (const nth of range(200)) {
    ada.emit("echo", nth);
    ben.emit("tell", { others: true }, "heard", nth);
  }
  await call(ben, "echo", "fence");
  assert.deepEqual(await echoes.takeMany(200), range(200).map((nth) => [nth]));
  await assertOnly(ada, heard, range(200).map((nth) => [nth]));
});

scenario("the client's events survive a server that is started anew", async (t) => {
  const first = await apiServer(t);
  const proxy = await startProxy(t, first);
  const socket = await connectSocket(t, proxy, { reconnection: true, reconnectionDelay: 10, reconnectionDelayMax: 50 });
  const gone = next(socket, "disconnect");
  await first.stop();
  await gone;
  const answers = range(10).map((nth) => call(socket, "echo", nth));
  proxy.targetPort = (await apiServer(t)).port;
  assert.deepEqual(await Promise.all(answers), range(10));
});
