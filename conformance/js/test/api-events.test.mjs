// Middleware for events, catch-all handlers, several handlers of one event, and none.
import assert from "node:assert/strict";
import { ROUTES, assertOnly, call, connectSocket, inboxOf } from "../support/clients.mjs";
import { next, scenario } from "../support/scenario.mjs";
import { apiServer, oursAlone } from "../support/target.mjs";

const EVENTS = "/events";
const connect = (t, server, options) => connectSocket(t, server, options, EVENTS);

/** The reports of the kind `event` up to now, after a note that only serves as fence. */
async function reportsOf(server, socket, event) {
  socket.emit("note", "fence");
  const reports = [];
  for (;;) {
    const report = await server.reports.take();
    if (report.event === event) reports.push(report);
    if (report.event === "note" && report.value === "fence") return reports;
  }
}

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: middleware sees each event, in order`, async (t) => {
    const server = await apiServer(t);
    const socket = await connect(t, server, options);
    await call(socket, "echo", 1);
    const seen = (await reportsOf(server, socket, "event-middleware")).map(({ nth, name }) => `${name} ${nth}`);
    assert.deepEqual(seen, ["echo 1", "echo 2", "note 1", "note 2"]);
  });

  scenario(`${route}: middleware changes the arguments`, async (t) => {
    const socket = await connect(t, await apiServer(t), options);
    assert.equal(await call(socket, "shout", "hello"), "HELLO");
  });
}

scenario("middleware refuses an event: it has no effect, and what follows is handled", async (t) => {
  const server = await apiServer(t);
  const socket = await connect(t, server);
  socket.emit("forbidden");
  assert.equal((await server.report("refused-event", socket.id)).message, "forbidden to you");
  assert.deepEqual(await reportsOf(server, socket, "handler"), []);
  assert.equal(await call(socket, "shout", "still"), "STILL");
});

scenario("middleware refuses an event: the client that waits for an answer is told", oursAlone("tells it nothing"), async (t) => {
  const socket = await connect(t, await apiServer(t));
  assert.deepEqual(await call(socket, "forbidden"), { error: "forbidden to you" });
});

scenario("middleware acts after the handler, before the answer leaves", oursAlone("has no such thing"), async (t) => {
  const server = await apiServer(t);
  const [socket, other] = [await connect(t, server), await connectSocket(t, server)];
  let answered = false;
  const answer = call(socket, "held", 1).then((value) => ((answered = true), value));
  await server.report("handled", socket.id);
  assert.equal(await call(socket, "echo", "fence"), "fence");
  assert.equal(answered, false);
  other.emit("release");
  assert.equal(await answer, 1);
});

scenario("a catch-all handler hears each event that arrives", async (t) => {
  const server = await apiServer(t);
  const socket = await connect(t, server);
  await call(socket, "echo", { deep: [1] });
  socket.emit("nobody handles this", 2);
  socket.emit("many");
  const heard = (await reportsOf(server, socket, "incoming")).map(({ name, data }) => [name, data ?? "nothing"]);
  assert.deepEqual(heard, [["echo", { deep: [1] }], ["nobody handles this", 2], ["many", "nothing"], ["note", "fence"]]);
});

scenario("a catch-all handler hears each event that is sent, broadcasts too, answers not", async (t) => {
  const server = await apiServer(t);
  const [socket, other] = [await connect(t, server), await connect(t, server)];
  await call(socket, "echo", "an answer");
  // The two sockets are on two connections, which do not wait for each other.
  const shaped = next(socket, "shaped");
  socket.emit("shape", "bytes");
  await shaped;
  await call(other, "tell", {}, "to all", 1);
  await call(other, "tell", { others: true }, "to others", 1);
  await call(other, "tell-bytes", { to: [socket.id] }, "to one", Buffer.from([1]));
  socket.emit("ask", 50, "in vain");
  await call(socket, "echo", "fence");
  const sent = (await reportsOf(server, socket, "outgoing")).filter(({ id }) => id === socket.id);
  assert.deepEqual(sent.map(({ name }) => name), ["shaped", "to all", "to others", "to one", "question"]);
});

scenario("all handlers of an event run, in order", async (t) => {
  const server = await apiServer(t);
  const socket = await connect(t, server);
  socket.emit("many");
  socket.emit("many");
  const ran = (await reportsOf(server, socket, "handler")).map(({ nth }) => nth);
  assert.deepEqual(ran, [1, 2, 1, 2]);
});

scenario("a handler may run once, for each socket", async (t) => {
  const server = await apiServer(t);
  for (const socket of [await connect(t, server), await connect(t, server)]) {
    for (const _ of [1, 2, 3]) socket.emit("once");
    assert.equal((await server.report("handler", socket.id)).nth, "once");
    assert.equal((await reportsOf(server, socket, "handler")).length, 0);
  }
});

scenario("an event without a handler is told to the fallback", async (t) => {
  const server = await apiServer(t);
  const socket = await connect(t, server);
  for (const name of ["echo", "nobody handles this", "note", "nor this"]) socket.emit(name, 1);
  const unknown = (await reportsOf(server, socket, "unknown")).map(({ name }) => name);
  assert.deepEqual(unknown, ["nobody handles this", "nor this"]);
});

scenario("what is registered in a namespace concerns no other", async (t) => {
  const server = await apiServer(t);
  const socket = await connectSocket(t, server);
  const echoes = inboxOf(socket, "echo");
  for (const name of ["shout", "forbidden", "many", "echo", "nobody handles this"]) socket.emit(name, "x");
  await assertOnly(socket, echoes, [["x"]]);
  const reports = server.reports.drain().map(({ event }) => event);
  for (const event of ["incoming", "outgoing", "event-middleware", "handler", "refused-event", "unknown"])
    assert.ok(!reports.includes(event), event);
});
