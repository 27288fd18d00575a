// The checks of the Socket.IO protocol (revision 5), by hand on top of a WebSocket or of polling.
import assert from "node:assert/strict";
import { Polling, openWebSocket, rawWebSocket } from "../support/raw.mjs";
import { range, scenario } from "../support/scenario.mjs";
import { official, socketServer } from "../support/target.mjs";

const PATH = { path: "/socket.io/" };
const HEARTBEAT = { ping_interval: 300, ping_timeout: 200 };

/** A WebSocket whose client has not joined a namespace. */
async function open(t, options) {
  const server = await socketServer(t, options);
  const socket = await openWebSocket(server, PATH);
  socket.server = server;
  return socket;
}

/** Sends CONNECT and gives the socket's id. */
async function join(socket, namespace = "/", payload = "") {
  const prefix = namespace === "/" ? "" : `${namespace},`;
  socket.send(`40${prefix}${payload}`);
  const answer = await socket.inbox.take();
  assert.ok(answer.startsWith(`40${prefix}{`), answer);
  const { sid } = JSON.parse(answer.slice(2 + prefix.length));
  assert.match(sid, /^[\w-]{20}$/);
  return sid;
}

/** A WebSocket that has joined the main namespace. */
async function joined(t) {
  const socket = await open(t);
  socket.socketId = await join(socket);
  return socket;
}

scenario("handshake: over polling and WebSocket", async (t) => {
  const server = await socketServer(t, HEARTBEAT);
  const polling = await Polling.open(server, PATH);
  const webSocket = await openWebSocket(server, PATH);
  const expected = { pingInterval: 300, pingTimeout: 200, maxPayload: 1_000_000 };
  assert.deepEqual(polling.open, { sid: polling.sid, upgrades: ["websocket"], ...expected });
  assert.deepEqual(webSocket.open, { sid: webSocket.sid, upgrades: [], ...expected });
});

for (const [query, code] of [["transport=polling", 5], ["EIO=4", 0], ["EIO=4&transport=abc", 0]]) {
  scenario(`handshake: ?${query} is refused`, async (t) => {
    const response = await fetch(`${(await socketServer(t)).url}/socket.io/?${query}`);
    assert.equal(response.status, 400);
    assert.equal((await response.json()).code, code);
  });
}

scenario("heartbeat: pings come, and silence ends the connection", async (t) => {
  const socket = await open(t, HEARTBEAT);
  await join(socket);
  assert.equal(await socket.inbox.take(), "2");
  socket.send("3");
  assert.equal(await socket.inbox.take(), "2");
  await socket.closed();
  assert.equal((await socket.server.report("disconnect")).reason, "ping timeout");
});

scenario("close: over polling the waiting poll is released", async (t) => {
  const server = await socketServer(t);
  const polling = await Polling.open(server, PATH);
  await polling.push("40");
  await polling.packets(1);
  const [poll] = await Promise.all([polling.poll(), polling.push("1")]);
  assert.equal(poll, "6");
  assert.equal((await server.report("disconnect")).reason, "transport close");
});

scenario("upgrade: the namespace stays joined", async (t) => {
  const polling = await Polling.open(await socketServer(t), PATH);
  await polling.push("40");
  const [connected] = await polling.packets(1);
  const { sid } = JSON.parse(connected.slice(2));
  const poll = polling.poll();
  const socket = await openUpgrade(polling);
  assert.equal(await poll, "6");
  socket.send("5");
  socket.send('420["who-am-i"]');
  const answer = await socket.inbox.take();
  assert.equal(JSON.parse(answer.slice(3))[0].id, sid);
});

async function openUpgrade(polling) {
  const socket = rawWebSocket(polling.server, { ...PATH, query: `&sid=${polling.sid}` });
  await socket.opened();
  socket.send("2probe");
  assert.equal(await socket.inbox.take(), "3probe");
  return socket;
}

for (const [name, namespace, payload] of [
  ["the main namespace", "/", ""],
  ["the main namespace with a payload", "/", '{"token":"123"}'],
  ["a custom namespace", "/admin", ""],
  ["a custom namespace with a payload", "/admin", '{"token":"abc"}'],
]) {
  scenario(`connect: to ${name}`, async (t) => {
    const socket = await open(t);
    const id = await join(socket, namespace, payload);
    const prefix = namespace === "/" ? "" : `${namespace},`;
    socket.send(`42${prefix}7["who-am-i"]`);
    const expected = [{ id, auth: JSON.parse(payload || "{}"), token: null }];
    const answer = await socket.inbox.take();
    assert.ok(answer.startsWith(`43${prefix}7[`), answer);
    assert.deepEqual(JSON.parse(answer.slice(3 + prefix.length)), expected);
  });
}

scenario("connect: the namespace may end the packet", async (t) => {
  const socket = await open(t);
  socket.send("40/admin");
  assert.match(await socket.inbox.take(), /^40\/admin,\{"sid":"/);
});

scenario("connect: an unknown namespace is refused, the connection stays", async (t) => {
  const socket = await open(t);
  socket.send("40/random");
  assert.equal(await socket.inbox.take(), '44/random,{"message":"Invalid namespace"}');
  socket.send("40/admin?a=b,");
  assert.equal(await socket.inbox.take(), '44/admin?a=b,{"message":"Invalid namespace"}');
  await join(socket);
});

scenario("connect: middleware refuses", async (t) => {
  const socket = await open(t);
  socket.send("40/refused,");
  assert.equal(await socket.inbox.take(), '44/refused,{"message":"not you","data":{"code":7}}');
  await join(socket, "/refused", '{"token":"friend"}');
});

scenario("connect: who joins nothing in time is closed", async (t) => {
  const socket = await open(t, { connect_timeout: 200 });
  await socket.closed();
});

scenario("connect: who has joined in time stays", async (t) => {
  const socket = await open(t, { connect_timeout: 200, ping_interval: 500 });
  await join(socket);
  assert.equal(await socket.inbox.take(), "2");
});

scenario("disconnect: from the main namespace, the connection stays", async (t) => {
  const socket = await joined(t);
  socket.send("41");
  const report = await socket.server.report("disconnect");
  assert.deepEqual(report, { event: "disconnect", id: socket.socketId, namespace: "/", reason: "client namespace disconnect" });
  assert.notEqual(await join(socket), socket.socketId);
});

scenario("disconnect: from a custom namespace", async (t) => {
  const socket = await joined(t);
  await join(socket, "/admin");
  socket.send("41/admin,");
  assert.equal((await socket.server.report("disconnect")).namespace, "/admin");
  socket.send('42["echo","still here"]');
  assert.equal(await socket.inbox.take(), '42["echo","still here"]');
});

scenario("disconnect: by the server, from one namespace or all", async (t) => {
  const socket = await joined(t);
  await join(socket, "/admin");
  socket.send('42/admin,["disconnect-me"]');
  assert.equal(await socket.inbox.take(), "41/admin,");
  await join(socket, "/admin");
  socket.send('42["close-me"]');
  assert.deepEqual((await socket.inbox.takeMany(2)).sort(), ["41", "41/admin,"]);
  await socket.closed();
});

scenario("message: text", async (t) => {
  const socket = await joined(t);
  socket.send('42["pair",1,{"2":["3"]}]');
  assert.equal(await socket.inbox.take(), '42["pair",1,{"2":["3"]}]');
});

scenario("message: binary attachments", async (t) => {
  const socket = await joined(t);
  const packet = '452-["parcel",{"label":"two","parts":[{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]}]';
  const attachments = [Buffer.from([1, 2, 3]), Buffer.from([4, 5, 6])];
  socket.send(packet);
  attachments.forEach((attachment) => socket.send(attachment));
  assert.deepEqual(await socket.inbox.takeMany(3), [packet, ...attachments]);
});

scenario("message: text with an acknowledgement", async (t) => {
  const socket = await joined(t);
  socket.send('42456["pair",1,"2"]');
  assert.deepEqual(await socket.inbox.takeMany(2), ['42["pair",1,"2"]', '43456[1,"2"]']);
});

scenario("message: binary attachments with an acknowledgement", async (t) => {
  const socket = await joined(t);
  const bytes = Buffer.from([1, 2, 3]);
  socket.send('451-789["binary",{"_placeholder":true,"num":0}]');
  socket.send(bytes);
  const event = '451-["binary",{"_placeholder":true,"num":0}]';
  const answer = '461-789[{"_placeholder":true,"num":0}]';
  assert.deepEqual(await socket.inbox.takeMany(4), [event, bytes, answer, bytes]);
});

scenario("message: a client's acknowledgement with binary", async (t) => {
  const socket = await joined(t);
  socket.send('451-["ask-binary",{"_placeholder":true,"num":0}]');
  socket.send(Buffer.from([1]));
  const [question] = await socket.inbox.takeMany(2);
  const [, id] = question.match(/^451-(\d+)\["question",/);
  socket.send(`461-${id}[{"_placeholder":true,"num":0}]`);
  socket.send(Buffer.from([9, 9]));
  const answered = ['451-["answered",{"_placeholder":true,"num":0}]', Buffer.from([9, 9])];
  assert.deepEqual(await socket.inbox.takeMany(2), answered);
});

scenario("message: acknowledgements that nobody asked for are ignored", async (t) => {
  const socket = await joined(t);
  for (const id of range(5)) socket.send(`43${id}[]`);
  socket.send('42["echo",1]');
  assert.equal(await socket.inbox.take(), '42["echo",1]');
});

scenario("message: an event without a handler is ignored", async (t) => {
  const socket = await joined(t);
  socket.send('42["nobody cares",1]');
  socket.send('42["echo",1]');
  assert.equal(await socket.inbox.take(), '42["echo",1]');
});

const CLOSING = [
  ["an unknown packet type", ["4abc"]],
  ["a packet type without meaning", ["49"]],
  ["a payload that is no array", ['42{}']],
  ["a payload that is no JSON", ['42["echo"']],
  ["an event without a name", ["42[]"]],
  ["a name that is null", ["42[null]"]],
  ["a reserved name", ['42["connect"]']],
  ["an acknowledgement id that is no number", ['42abc["message-with-ack",1,"2",{"3":[false]}]']],
  ["a payload on DISCONNECT", ['41{"a":1}']],
  ["a CONNECT whose payload is an array", ["40/admin,[]"]],
  ["a second CONNECT", ["40"]],
  ["an event for a namespace not joined", ['42/admin,["echo",1]']],
  ["eleven attachments", [`4511-["parcel",${JSON.stringify(range(11).map((num) => ({ _placeholder: true, num })))}]`]],
  ["binary without an announcement", [Buffer.from([1])]],
  ["text between attachments", ['451-["binary",{"_placeholder":true,"num":0}]', '42["echo",1]']],
  ["a placeholder that points nowhere", ['451-["binary",{"_placeholder":true,"num":1}]', Buffer.from([1])]],
];

for (const [name, frames] of CLOSING) {
  scenario(`message: ${name} closes the connection`, async (t) => {
    const socket = await joined(t);
    for (const frame of frames) socket.send(frame);
    await socket.closed();
    const { reason } = await socket.server.report("disconnect");
    assert.equal(reason, "forced close");
    assert.equal(socket.inbox.size, 0);
  });
}

const CLOSING_OURS = [
  ["an event without payload", ["42"]],
  ["a placeholder of half an index", ['451-["binary",{"_placeholder":true,"num":0.5}]', Buffer.from([1])]],
  ["one attachment named twice", ['451-["pair",{"_placeholder":true,"num":0},{"_placeholder":true,"num":0}]', Buffer.from([1])]],
  ["an acknowledgement id beyond all bounds", ['42100000000000000000000["echo",1]']],
];

for (const [name, frames] of CLOSING_OURS) {
  scenario(`message: ${name} closes the connection`, { skip: official && "the official server lets it pass" }, async (t) => {
    const socket = await joined(t);
    for (const frame of frames) socket.send(frame);
    await socket.closed();
    assert.equal((await socket.server.report("disconnect")).reason, "forced close");
  });
}
