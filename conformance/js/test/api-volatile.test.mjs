// Volatile events are sent at once or not at all.
import assert from "node:assert/strict";
import { ROUTES, assertOnly, call, connectSocket, inboxOf, upgraded } from "../support/clients.mjs";
import { Polling } from "../support/raw.mjs";
import { range, scenario } from "../support/scenario.mjs";
import { apiServer } from "../support/target.mjs";

const BYTES = Buffer.from([1, 2, 3]);
const WEBSOCKET_ROUTES = { websocket: ROUTES.websocket, upgrade: ROUTES.upgrade };

/** A connection by polling that has joined the main namespace. */
async function openPolling(t) {
  const polling = await Polling.open(await apiServer(t), { path: "/socket.io/" });
  await polling.push("40");
  await polling.packets(1);
  return polling;
}

const emitEach = (...list) => `42${JSON.stringify(["emit-each", list])}`;
const FENCE = '420["echo"]';

/** What the server sends when it is asked for `list` while no poll waits. */
async function withoutPoll(polling, ...list) {
  await polling.push(emitEach(...list));
  await polling.push(FENCE);
  const packets = [];
  while (packets.at(-1) !== "430[]") packets.push(...(await polling.packets(1)));
  return packets.slice(0, -1);
}

/** What it sends while a poll waits: asks until it is sure that one did, as a first event that is volatile shows. */
async function withPoll(polling, ...list) {
  for (const _ of range(20)) {
    const [poll] = await Promise.all([polling.poll(), polling.push([emitEach(...list), FENCE].join("\x1e"))]);
    const packets = poll.split("\x1e");
    while (packets.at(-1) !== "430[]") packets.push(...(await polling.packets(1)));
    if (packets[0].includes(`["${list[0].event}"`)) return packets.slice(0, -1);
  }
  throw new Error("nothing volatile has arrived");
}

scenario("polling: without a poll that waits, nothing volatile is sent", async (t) => {
  const polling = await openPolling(t);
  assert.deepEqual(await withoutPoll(polling, { event: "a", volatile: true }), []);
  const binary = { event: "b", volatile: true, bytes: true };
  assert.deepEqual(await withoutPoll(polling, binary, { event: "c" }, { event: "d", volatile: true }), ['42["c",null]']);
});

scenario("polling: a poll that waits takes one volatile event", async (t) => {
  const polling = await openPolling(t);
  const [a, b] = ["a", "b"].map((event) => ({ event, volatile: true }));
  assert.deepEqual(await withPoll(polling, a), ['42["a",null]']);
  assert.deepEqual(await withPoll(polling, a, b), ['42["a",null]']);
  assert.deepEqual(await withPoll(polling, a, b, { event: "c" }), ['42["a",null]', '42["c",null]']);
});

scenario("polling: a poll that waits takes a volatile event with its binary", async (t) => {
  const polling = await openPolling(t);
  const [a, b] = ["a", "b"].map((event) => ({ event, volatile: true, bytes: true }));
  assert.deepEqual((await withPoll(polling, a, b)).slice(0, 1), ['451-["a",{"_placeholder":true,"num":0}]']);
});

for (const [route, options] of Object.entries(WEBSOCKET_ROUTES)) {
  /** Has the server emit `list` in one go and gives the events that came. */
  const emitted = async (t, ...list) => {
    const socket = await connectSocket(t, await apiServer(t), options);
    await upgraded(socket);
    const names = [];
    for (const { event } of list) socket.on(event, (data) => names.push(data ? `${event} ${data.toString("hex")}` : event));
    await call(socket, "emit-each", list);
    await call(socket, "echo", "fence");
    return names;
  };

  scenario(`${route}: a volatile event arrives where nothing is in its way`, async (t) => {
    assert.deepEqual(await emitted(t, { event: "a", volatile: true }), ["a"]);
    assert.deepEqual(await emitted(t, { event: "a", volatile: true, bytes: true }), ["a 010203"]);
  });

  scenario(`${route}: a volatile event right after a regular one is dropped`, async (t) => {
    assert.deepEqual(await emitted(t, { event: "a" }, { event: "b", volatile: true }), ["a"]);
  });

  scenario(`${route}: of consecutive volatile events the first arrives`, async (t) => {
    const volatile = ["a", "b", "c"].map((event) => ({ event, volatile: true }));
    assert.deepEqual(await emitted(t, ...volatile), ["a"]);
    const binary = volatile.map((each) => ({ ...each, bytes: true }));
    assert.deepEqual(await emitted(t, ...binary), ["a 010203"]);
    assert.deepEqual(await emitted(t, ...volatile, { event: "d" }), ["a", "d"]);
  });

  scenario(`${route}: of consecutive volatile broadcasts the first arrives, with all its binary`, async (t) => {
    const server = await apiServer(t);
    const [speaker, listener] = [await connectSocket(t, server), await connectSocket(t, server, options)];
    await upgraded(listener);
    const heard = inboxOf(listener, "heard");
    await call(speaker, "tell-twice", { volatile: true, others: true }, "heard", BYTES);
    await assertOnly(listener, heard, [[1, BYTES]]);
  });
}

scenario("a volatile broadcast reaches those that are ready", async (t) => {
  const polling = await openPolling(t);
  const sockets = await Promise.all(range(3).map(() => connectSocket(t, polling.server, ROUTES.websocket)));
  const inboxes = sockets.map((socket) => inboxOf(socket, "heard"));
  await call(sockets[0], "tell", { volatile: true, others: true }, "heard", "now or never");
  await call(sockets[0], "tell", {}, "heard", "all");
  assert.equal(await polling.poll(), '42["heard","all"]');
  for (const [at, socket] of sockets.entries())
    await assertOnly(socket, inboxes[at], at === 0 ? [["all"]] : [["now or never"], ["all"]]);
});

scenario("regular events are not lost between volatile ones", async (t) => {
  const socket = await connectSocket(t, await apiServer(t), ROUTES.websocket);
  const regular = inboxOf(socket, "regular");
  const list = range(1000).map((nth) => ({ event: nth % 2 ? "regular" : "volatile", volatile: nth % 2 === 0 }));
  await call(socket, "emit-each", list);
  await assertOnly(socket, regular, Array(500).fill([null]));
});
