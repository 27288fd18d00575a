// Acknowledgements: the server's, the client's, those of many, and those that never come.
import assert from "node:assert/strict";
import { ROUTES, call, connectSocket, inboxOf } from "../support/clients.mjs";
import { range, scenario } from "../support/scenario.mjs";
import { apiServer, official } from "../support/target.mjs";

const BYTES = Buffer.from([1, 2, 3]);
const OTHER_BYTES = Buffer.from([255, 0]);

/** All arguments of the acknowledgement. */
const answersTo = (socket, ...event) => new Promise((resolve) => socket.emit(...event, (...answers) => resolve(answers)));
const TIMED_OUT = { failed: "operation has timed out" };

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: the server answers with several arguments and binary`, async (t) => {
    const socket = await connectSocket(t, await apiServer(t), options);
    assert.deepEqual(await answersTo(socket, "answer"), []);
    assert.deepEqual(await answersTo(socket, "answer", 1, "two"), [1, "two"]);
    const data = [BYTES, "and", { list: [OTHER_BYTES] }];
    assert.deepEqual(await answersTo(socket, "answer", ...data), data);
  });

  scenario(`${route}: the client answers with several arguments and binary`, async (t) => {
    const socket = await connectSocket(t, await apiServer(t), options);
    socket.on("question", (...args) => args.pop()(...args));
    assert.deepEqual(await call(socket, "ask", 10_000, { sure: true }), { answers: [{ sure: true }] });
    assert.deepEqual(await answersTo(socket, "ask-bytes", 10_000, BYTES), [BYTES, "and", BYTES]);
    assert.equal(await call(socket, "pending"), 0);
  });

  scenario(`${route}: answers belong to their questions, whatever their order`, async (t) => {
    const socket = await connectSocket(t, await apiServer(t), options);
    const waiting = [];
    socket.on("question", (question, ack) => {
      waiting.push(() => ack(question));
      if (waiting.length === 100) waiting.reverse().forEach((answer) => answer());
    });
    const answers = await Promise.all(range(100).map((nth) => call(socket, "ask", 10_000, nth)));
    assert.deepEqual(answers, range(100).map((nth) => ({ answers: [nth] })));
  });

  scenario(`${route}: a client that never answers leaves nothing behind`, async (t) => {
    const socket = await connectSocket(t, await apiServer(t), options);
    const answers = [];
    socket.on("question", (_, ack) => answers.push(ack));
    assert.deepEqual(await Promise.all(range(20).map((nth) => call(socket, "ask", 50, nth))), Array(20).fill(TIMED_OUT));
    assert.equal(await call(socket, "pending"), 0);
    for (const answer of answers) answer("too late");
    assert.equal(await call(socket, "echo", "served"), "served");
    assert.equal(await call(socket, "pending"), 0);
  });

  scenario(`${route}: many are asked and all answer`, async (t) => {
    const server = await apiServer(t);
    const everyone = await Promise.all([options, ...Object.values(ROUTES)].map((each) => connectSocket(t, server, each)));
    for (const [nth, socket] of everyone.entries()) socket.on("question", (question, ack) => ack(`${question} ${nth}`));
    const ask = async (target) => {
      const result = await call(everyone[0], "ask-all", { timeout: 10_000, ...target }, "I am");
      return { ...result, answers: result.answers.sort() };
    };
    const expected = (...nths) => ({ answers: nths.map((nth) => `I am ${nth}`), failed: false });
    assert.deepEqual(withoutMissing(await ask({})), expected(0, 1, 2, 3));
    assert.deepEqual(withoutMissing(await ask({ others: true })), expected(1, 2, 3));
    await call(everyone[2], "join", ["room"]);
    assert.deepEqual(withoutMissing(await ask({ to: ["room", everyone[3].id] })), expected(2, 3));
    assert.equal(await call(everyone[2], "pending"), 0);
  });
}

/** Ours tells how many have not answered. */
function withoutMissing({ missing, ...result }) {
  if (!official) assert.equal(missing, 0);
  return result;
}

scenario("many are asked and some never answer", async (t) => {
  const server = await apiServer(t);
  const everyone = await Promise.all(range(5).map(() => connectSocket(t, server, ROUTES.websocket)));
  const late = [];
  for (const [nth, socket] of everyone.entries())
    socket.on("question", (_, ack) => (nth < 3 ? ack(nth) : late.push(ack)));
  const result = await call(everyone[0], "ask-all", { timeout: 200 }, "who?");
  assert.deepEqual([result.answers.sort(), result.failed], [[0, 1, 2], true]);
  if (!official) assert.equal(result.missing, 2);
  for (const socket of everyone) assert.equal(await call(socket, "pending"), 0);
  assert.equal(late.length, 2);
  for (const ack of late) ack("late");
  for (const socket of everyone) assert.equal(await call(socket, "echo", "served"), "served");
});

scenario("some of many leave before they answer", async (t) => {
  const server = await apiServer(t);
  const everyone = await Promise.all(range(3).map(() => connectSocket(t, server, ROUTES.websocket)));
  everyone[0].on("question", (_, ack) => ack("here"));
  for (const socket of everyone.slice(1)) socket.on("question", () => socket.disconnect());
  const result = await call(everyone[0], "ask-all", { timeout: 500 }, "who?");
  assert.deepEqual([result.answers, result.failed], [["here"], true]);
});

scenario("nobody is asked", async (t) => {
  const socket = await connectSocket(t, await apiServer(t));
  const result = await call(socket, "ask-all", { to: ["empty"], timeout: 10_000 }, "anybody?");
  assert.deepEqual(withoutMissing(result), { answers: [], failed: false });
});

scenario("binary is asked of many, and answered", async (t) => {
  const server = await apiServer(t);
  const everyone = await Promise.all(Object.values(ROUTES).map((options) => connectSocket(t, server, options)));
  for (const socket of everyone) socket.on("question", (bytes, ack) => ack(Buffer.concat([bytes, bytes])));
  const { answers } = await call(everyone[0], "ask-all-bytes", { timeout: 10_000 }, BYTES);
  assert.deepEqual(answers, Array(3).fill(Buffer.concat([BYTES, BYTES])));
});

scenario("answers come in the order in which the server finds them", async (t) => {
  const socket = await connectSocket(t, await apiServer(t));
  const order = [];
  const late = call(socket, "answer-later", "late").then((answer) => order.push(answer));
  order.push(await call(socket, "echo", "early"));
  socket.emit("release");
  await late;
  assert.deepEqual(order, ["early", "late"]);
});

scenario("the server answers once", async (t) => {
  const socket = await connectSocket(t, await apiServer(t));
  const answers = [];
  socket.emit("answer-twice", (answer) => answers.push(answer));
  await call(socket, "echo", "fence");
  assert.deepEqual(answers, [1]);
});

scenario("the client answers once; what follows is ignored", async (t) => {
  const socket = await connectSocket(t, await apiServer(t));
  socket.on("question", (question, ack) => {
    ack(question);
    socket.io._packet({ type: 3, nsp: "/", id: 0, data: ["again"] });
  });
  assert.deepEqual(await call(socket, "ask", 10_000, "first"), { answers: ["first"] });
  assert.equal(await call(socket, "echo", "served"), "served");
});

scenario("a server that never answers: the client gives up", async (t) => {
  const socket = await connectSocket(t, await apiServer(t));
  await assert.rejects(socket.timeout(50).emitWithAck("never"), { message: "operation has timed out" });
  await assert.rejects(socket.timeout(50).emitWithAck("nobody handles this"), { message: "operation has timed out" });
  assert.equal(await call(socket, "echo", "served"), "served");
});

scenario("a client that waits for an answer when its connection ends is told", async (t) => {
  const socket = await connectSocket(t, await apiServer(t));
  const answer = assert.rejects(socket.emitWithAck("never"), { message: "socket has been disconnected" });
  socket.emit("close-me");
  await answer;
});

scenario("a question to a socket that leaves harms nobody", async (t) => {
  const server = await apiServer(t);
  const [asked, other] = [await connectSocket(t, server), await connectSocket(t, server)];
  const { id } = asked;
  const heard = inboxOf(asked, "question");
  asked.emit("ask", 100, "are you there?");
  await heard.take();
  asked.disconnect();
  await server.report("disconnect", id);
  // The other's question is given up after the first one would be.
  assert.deepEqual(await call(other, "ask", 200, "and you?"), TIMED_OUT);
  assert.deepEqual((await call(other, "sockets", {})).map(({ id }) => id), [other.id]);
});
