// Broadcasts: who hears what is said to rooms, to all but some, and to one.
import assert from "node:assert/strict";
import { ROUTES, assertOnly, call, connectSocket, inboxOf } from "../support/clients.mjs";
import { range, scenario } from "../support/scenario.mjs";
import { apiServer } from "../support/target.mjs";

const BYTES = Buffer.from([1, 2, 3]);

/** Four sockets, each with an inbox; `rooms` are those that each is in. */
async function audience(t, rooms, namespace) {
  const server = await apiServer(t);
  const routes = [...Object.values(ROUTES), ROUTES.websocket];
  return Promise.all(
    routes.map(async (options, nth) => {
      const socket = await connectSocket(t, server, options, namespace);
      socket.heard = inboxOf(socket, "heard");
      if (rooms[nth]?.length) await call(socket, "join", rooms[nth]);
      return socket;
    }),
  );
}

/** Asserts that a broadcast of the first socket is heard, once, by those that `expected` numbers. */
async function assertReach(sockets, target, expected) {
  await call(sockets[0], "tell", target, "heard", "this");
  for (const [nth, socket] of sockets.entries()) await assertOnly(socket, socket.heard, expected.includes(nth) ? [["this"]] : []);
}

for (const namespace of ["/", "/other", "/room-1"]) {
  scenario(`${namespace}: to all, to others, to rooms, except rooms`, async (t) => {
    const sockets = await audience(t, [["red"], ["red", "blue"], ["blue"], []], namespace);
    const ids = sockets.map(({ id }) => id);
    await assertReach(sockets, {}, [0, 1, 2, 3]);
    await assertReach(sockets, { others: true }, [1, 2, 3]);
    await assertReach(sockets, { to: ["red"] }, [0, 1]);
    await assertReach(sockets, { to: ["red"], others: true }, [1]);
    await assertReach(sockets, { to: ["red", "blue"] }, [0, 1, 2]);
    await assertReach(sockets, { to: ["red", "blue", "red"], others: true }, [1, 2]);
    await assertReach(sockets, { to: ["nobody here"] }, []);
    await assertReach(sockets, { to: ["nobody here", "blue"] }, [1, 2]);
    await assertReach(sockets, { except: ["red"] }, [2, 3]);
    await assertReach(sockets, { except: ["red", "blue"] }, [3]);
    await assertReach(sockets, { except: ["red", "blue"], others: true }, [3]);
    await assertReach(sockets, { to: ["red"], except: ["blue"] }, [0]);
    await assertReach(sockets, { to: ["red", "blue"], except: ["red"] }, [2]);
    await assertReach(sockets, { except: ["nobody here"] }, [0, 1, 2, 3]);
    await assertReach(sockets, { to: [ids[2]] }, [2]);
    await assertReach(sockets, { to: [ids[0]], others: true }, []);
    await assertReach(sockets, { to: [ids[0], ids[3], "red"] }, [0, 1, 3]);
    await assertReach(sockets, { except: [ids[1], ids[3]] }, [0, 2]);
    await assertReach(sockets, { to: ["blue"], except: [ids[1]] }, [2]);
    await assertReach(sockets, { local: true, to: ["blue"] }, [1, 2]);
    await assertReach(sockets, { local: true, others: true }, [1, 2, 3]);
    await assertReach(sockets, { compress: false, to: ["red"] }, [0, 1]);
  });
}

scenario("binary reaches each route, several arguments too", async (t) => {
  const sockets = await audience(t, []);
  await call(sockets[0], "tell-bytes", {}, "heard", BYTES);
  await call(sockets[0], "tell-twice", { to: sockets.map(({ id }) => id) }, "heard", BYTES);
  for (const socket of sockets) await assertOnly(socket, socket.heard, [[BYTES], [1, BYTES], [2, BYTES]]);
});

scenario("who leaves a room, or the server, hears no more", async (t) => {
  const sockets = await audience(t, [["red"], ["red"], ["red"], ["red"]]);
  await call(sockets[1], "leave", "red");
  await call(sockets[2], "leave", "no such room");
  await assertReach(sockets, { to: ["red"] }, [0, 2, 3]);
  sockets[3].disconnect();
  await assertReach(sockets.slice(0, 3), { to: ["red"] }, [0, 2]);
});

scenario("a room joined twice is heard once, and left at once", async (t) => {
  const sockets = await audience(t, [["red", "red"], ["red"]]);
  await call(sockets[1], "join", ["red"]);
  await assertReach(sockets, { to: ["red"] }, [0, 1]);
  await call(sockets[1], "leave", "red");
  await assertReach(sockets, { to: ["red"] }, [0]);
  assert.deepEqual(await call(sockets[0], "rooms"), [sockets[0].id, "red"].sort());
});

scenario("room names may be any text", async (t) => {
  const names = ["", " ", "€😀", "__proto__", "a,b", "/", "x".repeat(1000)];
  const sockets = await audience(t, [[], names]);
  assert.deepEqual(await call(sockets[1], "rooms"), [sockets[1].id, ...names].sort());
  for (const name of names) await assertReach(sockets, { to: [name] }, [1]);
});

scenario("broadcasts keep their order among themselves and with direct events", async (t) => {
  const sockets = await audience(t, [[], ["red"]]);
  for (const nth of range(300)) sockets[1].emit("tell", [{}, { to: ["red"] }, { to: [sockets[1].id] }][nth % 3], "heard", nth);
  await assertOnly(sockets[1], sockets[1].heard, range(300).map((nth) => [nth]));
});

scenario("a crowd in many rooms hears each broadcast once", async (t) => {
  const server = await apiServer(t);
  const crowd = await Promise.all(range(60).map(() => connectSocket(t, server, ROUTES.websocket)));
  for (const [nth, socket] of crowd.entries()) {
    socket.heard = inboxOf(socket, "heard");
    await call(socket, "join", range(6).map((at) => `room ${(nth + at) % 60}`));
  }
  await call(crowd[0], "tell", { to: range(30).map((nth) => `room ${nth}`) }, "heard", "half");
  await call(crowd[0], "tell", { to: range(60).map((nth) => `room ${nth}`) }, "heard", "all");
  const isInHalf = (nth) => range(6).some((at) => (nth + at) % 60 < 30);
  for (const [nth, socket] of crowd.entries())
    await assertOnly(socket, socket.heard, isInHalf(nth) ? [["half"], ["all"]] : [["all"]]);
});
