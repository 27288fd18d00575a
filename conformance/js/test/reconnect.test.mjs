// socket.io-client finds its way back, by itself, and what was emitted meanwhile arrives.
import assert from "node:assert/strict";
import { ROUTES, connectSocket, inboxOf } from "../support/clients.mjs";
import { startProxy } from "../support/proxy.mjs";
import { next, scenario } from "../support/scenario.mjs";
import { socketServer } from "../support/target.mjs";

const QUICKLY = { reconnection: true, reconnectionDelay: 50, reconnectionDelayMax: 100 };

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: after the network broke`, async (t) => {
    // The server learns of a client that was between two polls by its heartbeat.
    const server = await socketServer(t, { ping_interval: 300, ping_timeout: 200 });
    const proxy = await startProxy(t, server);
    const socket = await connectSocket(t, proxy, { ...options, ...QUICKLY });
    const { id } = socket;
    const ended = next(socket, "disconnect");
    proxy.cut();
    assert.match((await ended)[0], /^transport (close|error)$/);
    const echoes = inboxOf(socket, "echo");
    socket.emit("echo", "kept while away");
    proxy.restore();
    await next(socket, "connect");
    assert.notEqual(socket.id, id);
    assert.deepEqual(await echoes.take(), ["kept while away"]);
    await server.reports.find((report) => report.event === "disconnect" && report.id === id, "report of the first's end");
  });
}

scenario("after the server fell silent", async (t) => {
  const server = await socketServer(t, { ping_interval: 300, ping_timeout: 200 });
  const proxy = await startProxy(t, server);
  const socket = await connectSocket(t, proxy, { ...ROUTES.websocket, ...QUICKLY });
  const ended = next(socket, "disconnect");
  proxy.silence("down");
  assert.equal((await ended)[0], "ping timeout");
  proxy.restore();
  await next(socket, "connect");
});

scenario("twenty times in a row, without losing an acknowledged event", async (t) => {
  // A client that is cut off while it upgrades may be left with neither transport: only the heartbeat tells it.
  const server = await socketServer(t, { ping_interval: 300, ping_timeout: 200 });
  const proxy = await startProxy(t, server);
  const socket = await connectSocket(t, proxy, { ...ROUTES.upgrade, ...QUICKLY, ackTimeout: 2000, retries: 10 });
  for (let nth = 0; nth < 20; nth++) {
    const answer = socket.emitWithAck("echo", nth);
    proxy.restore();
    assert.equal(await answer, nth);
  }
});

scenario("not after the server has said goodbye", async (t) => {
  const socket = await connectSocket(t, await socketServer(t), QUICKLY);
  socket.io.on("reconnect_attempt", () => assert.fail("the client must not come back by itself"));
  const ended = next(socket, "disconnect");
  socket.emit("disconnect-me");
  assert.equal((await ended)[0], "io server disconnect");
  socket.connect();
  await next(socket, "connect");
});
