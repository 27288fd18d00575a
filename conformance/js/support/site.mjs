// A site: Redis, an Express application, and socket servers that share its sessions.
import assert from "node:assert/strict";
import { startExpress } from "../servers/express.mjs";
import { ROUTES, call, connectSocket, manager, upgraded } from "./clients.mjs";
import { startRedis } from "./redis.mjs";
import { next, range } from "./scenario.mjs";
import { official, sessionServer } from "./target.mjs";

/** The official server as it should be configured, which the website's how-to does not say. */
const SOUND = official ? { resave: false, save_uninitialized: false } : {};

/** Starts a site; `options` go to Express and to the socket servers, see `servers/session.mjs`. */
export async function startSite(t, options = {}, { servers: count = 1, durable = false, through = (redis) => redis } = {}) {
  const redis = await startRedis(t, { durable });
  const express = await startExpress(t, { ...options, redis: redis.url });
  const store = await through(redis);
  const settings = { ...SOUND, ...options, redis: `redis://127.0.0.1:${store.port}/` };
  const servers = await Promise.all(range(count).map(() => sessionServer(t, settings)));
  return { redis, express, servers, server: servers[0], store };
}

/** A connected socket of the visitor; where the route has one, its upgrade is done. */
export async function openSocket(t, server, visitor, route = "websocket", { namespace, ...options } = {}) {
  const socket = await connectSocket(t, server, { ...ROUTES[route], extraHeaders: visitor.extraHeaders, ...options }, namespace);
  await upgraded(socket);
  return socket;
}

/** Sockets of the visitor in both namespaces, on one connection. */
export async function openBoth(t, server, visitor, route = "websocket", options = {}) {
  const connection = manager(t, server, { ...ROUTES[route], extraHeaders: visitor.extraHeaders, ...options });
  const sockets = ["/", "/other"].map((namespace) => connection.socket(namespace));
  const connected = sockets.map((socket) => next(socket.connect(), "connect"));
  await Promise.all(connected);
  for (const socket of sockets) await upgraded(socket);
  return sockets;
}

/** Asserts that the answer tells of an error. */
export function assertFailed(answer, matching = /./) {
  assert.equal(typeof answer?.error, "string", `an error, not ${JSON.stringify(answer)}`);
  assert.match(answer.error, matching);
}

/** Calls an event that must fail. */
export async function callInVain(socket, ...event) {
  assertFailed(await call(socket, ...event));
}

/** The stored session, or null. */
export async function stored(redis, visitor) {
  return JSON.parse((await redis.client.get(visitor.key)) ?? "null");
}
