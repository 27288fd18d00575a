// What a server can ask and do about the sockets of others, and what it is told about rooms.
import assert from "node:assert/strict";
import { ROUTES, assertOnly, call, connectSocket, inboxOf, manager } from "../support/clients.mjs";
import { next, range, scenario } from "../support/scenario.mjs";
import { apiServer } from "../support/target.mjs";

/** The ids of the sockets that the server finds for `target`, as numbers of `sockets`. */
async function found(sockets, target) {
  const ids = (await call(sockets[0], "sockets", target)).map(({ id }) => id);
  assert.equal(new Set(ids).size, ids.length, "each is found once");
  return ids.map((id) => sockets.findIndex((socket) => socket.id === id)).sort();
}

async function crowd(t, server, count, namespace) {
  return Promise.all(range(count).map((nth) => connectSocket(t, server, { auth: { nth } }, namespace)));
}

scenario("sockets are found with their rooms, data and handshake", async (t) => {
  const [ada, ben] = await crowd(t, await apiServer(t), 2);
  await call(ada, "join", ["red"]);
  await call(ada, "set-data", { name: "ada", tags: [1] });
  const sockets = await call(ben, "sockets", {});
  assert.deepEqual(sockets.find(({ id }) => id === ada.id), {
    id: ada.id,
    rooms: [ada.id, "red"].sort(),
    data: { name: "ada", tags: [1] },
    auth: { nth: 0 },
    url: (await call(ada, "handshake")).url,
  });
  assert.deepEqual(sockets.find(({ id }) => id === ben.id).rooms, [ben.id]);
  assert.equal(sockets.length, 2);
});

scenario("sockets are found by rooms", async (t) => {
  const server = await apiServer(t);
  const sockets = await crowd(t, server, 4);
  await crowd(t, server, 2, "/other");
  await call(sockets[0], "sockets-join", { to: [sockets[1].id, sockets[2].id] }, ["red"]);
  await call(sockets[0], "sockets-join", { to: [sockets[2].id, sockets[3].id] }, ["blue", "green"]);
  assert.deepEqual(await found(sockets, {}), [0, 1, 2, 3]);
  assert.deepEqual(await found(sockets, { others: true }), [1, 2, 3]);
  assert.deepEqual(await found(sockets, { to: ["red"] }), [1, 2]);
  assert.deepEqual(await found(sockets, { to: ["red", "blue", "green"] }), [1, 2, 3]);
  assert.deepEqual(await found(sockets, { to: ["red"], except: ["blue"] }), [1]);
  assert.deepEqual(await found(sockets, { except: ["red"], local: true }), [0, 3]);
  assert.deepEqual(await found(sockets, { to: ["nobody here"] }), []);
});

scenario("sockets are made to join and leave rooms", async (t) => {
  const server = await apiServer(t);
  const sockets = await crowd(t, server, 3);
  await call(sockets[0], "sockets-join", {}, ["red", "blue"]);
  assert.deepEqual(await call(sockets[2], "rooms"), [sockets[2].id, "red", "blue"].sort());
  await call(sockets[0], "sockets-leave", { others: true }, ["red"]);
  assert.deepEqual(await found(sockets, { to: ["red"] }), [0]);
  await call(sockets[0], "sockets-join", { to: ["red"] }, ["elite"]);
  assert.deepEqual(await found(sockets, { to: ["elite"] }), [0]);
  await call(sockets[0], "sockets-leave", {}, ["red", "blue", "elite"]);
  assert.deepEqual(await found(sockets, { to: ["red", "blue", "elite"] }), []);
});

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: sockets are disconnected, with their connection or without`, async (t) => {
    const server = await apiServer(t);
    const [master] = await crowd(t, server, 1);
    for (const close of [false, true]) {
      const connection = manager(t, server, options);
      const [main, other] = ["/", "/other"].map((namespace) => connection.socket(namespace));
      for (const socket of [main, other]) await next(socket.connect(), "connect");
      const ids = [main.id, other.id];
      await call(main, "join", ["doomed"]);
      const gone = next(main, "disconnect");
      const others = close && next(other, "disconnect");
      master.emit("disconnect-sockets", { to: ["doomed"] }, close);
      assert.equal((await gone)[0], "io server disconnect");
      const { reason } = await server.report("disconnect", ids[0]);
      assert.equal(reason, "server namespace disconnect");
      if (close) assert.equal((await others)[0], "io server disconnect");
      else assert.equal(await call(other, "echo", "still here"), "still here");
      assert.deepEqual(await found([master], {}), [0]);
    }
  });
}

scenario("sockets are disconnected, but for some", async (t) => {
  const server = await apiServer(t);
  const sockets = await crowd(t, server, 4);
  await call(sockets[3], "join", ["spared"]);
  const gone = Promise.all([sockets[1], sockets[2]].map((socket) => next(socket, "disconnect")));
  sockets[0].emit("disconnect-sockets", { others: true, except: ["spared"] }, true);
  await gone;
  assert.deepEqual(await found(sockets, {}), [0, 3]);
});

/** The reports about rooms other than the sockets' own, up to the answer to an event of `socket`. */
async function roomReports(server, socket) {
  socket.emit("note", "fence");
  const reports = [];
  for (;;) {
    const report = await server.reports.take();
    if (report.event === "note") return reports;
    if (report.event.endsWith("-room") && report.room.startsWith("room ")) reports.push(`${report.event} ${report.room}`);
  }
}

scenario("rooms are reported as they are created, joined, left and deleted", async (t) => {
  const server = await apiServer(t);
  const [ada, ben] = await crowd(t, server, 2);
  await call(ada, "join", ["room 1"]);
  assert.deepEqual(await roomReports(server, ada), ["create-room room 1", "join-room room 1"]);
  await call(ada, "join", ["room 1"]);
  assert.deepEqual(await roomReports(server, ada), []);
  await call(ben, "join", ["room 1", "room 2"]);
  assert.deepEqual(await roomReports(server, ben), ["join-room room 1", "create-room room 2", "join-room room 2"]);
  await call(ada, "leave", "room 1");
  await call(ada, "leave", "room 1");
  await call(ada, "leave", "room 3");
  assert.deepEqual(await roomReports(server, ada), ["leave-room room 1"]);
  const { id } = ben;
  ben.disconnect();
  await server.report("disconnect", id);
  const left = await roomReports(server, ada);
  for (const room of ["room 1", "room 2"])
    assert.deepEqual(left.filter((report) => report.endsWith(room)), [`leave-room ${room}`, `delete-room ${room}`]);
});

for (const [how, leave] of [
  ["disconnects", (socket) => socket.disconnect()],
  ["is disconnected", (socket) => socket.emit("disconnect-me")],
  ["loses its connection", (socket) => socket.io.engine.close()],
]) {
  scenario(`a socket that ${how} is in its rooms until it is gone, and joins none afterwards`, async (t) => {
    const server = await apiServer(t);
    const socket = await connectSocket(t, server);
    const observer = await connectSocket(t, server);
    await call(socket, "join", ["red", "blue"]);
    const { id } = socket;
    leave(socket);
    const before = await server.report("disconnecting", id);
    assert.deepEqual(before.rooms, [id, "blue", "red"].sort());
    const after = await server.report("disconnect", id);
    assert.deepEqual([after.rooms, after.reason], [[], before.reason]);
    for (const target of [{ to: ["red", "blue", "late", id] }, { to: ["late"] }])
      assert.deepEqual(await call(observer, "sockets", target), []);
  });
}

scenario("a broadcast to sockets that come and go reaches those that stay", async (t) => {
  const server = await apiServer(t);
  const [speaker, listener] = await crowd(t, server, 2);
  const heard = inboxOf(listener, "heard");
  const visits = range(3).map(async () => {
    for (const _ of range(10)) (await connectSocket(t, server, ROUTES.websocket)).disconnect();
  });
  for (const nth of range(200)) await call(speaker, "tell", { others: true }, "heard", nth);
  await Promise.all(visits);
  await assertOnly(listener, heard, range(200).map((nth) => [nth]));
});
