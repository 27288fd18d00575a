// The official clients, closed when their scenario ends.
import assert from "node:assert/strict";
import { Socket as EngineSocket } from "engine.io-client";
import { Manager } from "socket.io-client";
import { Inbox, next } from "./scenario.mjs";

/** The ways to connect that every message scenario is run over. */
export const ROUTES = {
  polling: { transports: ["polling"] },
  websocket: { transports: ["websocket"] },
  upgrade: { transports: ["polling", "websocket"] },
};

/** An engine.io-client whose messages land in `inbox`; it may still be opening. */
export function engineClient(t, server, options = {}) {
  const client = new EngineSocket(server.url, { path: "/engine.io/", ...options });
  client.binaryType = "nodebuffer";
  client.inbox = new Inbox();
  client.closings = new Inbox();
  client.on("message", (message) => client.inbox.push(message));
  client.on("close", (reason, details) => client.closings.push({ reason, details }));
  client.on("error", (error) => (client.failure = error));
  t.after(() => client.close());
  return client;
}

/** An engine.io-client that is open and, where its transports allow, has upgraded. */
export async function openEngineClient(t, server, options = {}) {
  const client = engineClient(t, server, options);
  const upgrades = options.transports?.length > 1 && next(client, "upgrade");
  await next(client, "open");
  client.sid = client.id;
  await upgrades;
  return client;
}

/** A manager of socket.io-client: one connection, many namespaces. */
export function manager(t, server, options = {}) {
  const manager = new Manager(server.url, { autoConnect: false, reconnection: false, ...options });
  t.after(() => manager._close());
  return manager;
}

/** A socket of its own manager, not yet connected. */
export function socketClient(t, server, options = {}, namespace = "/") {
  return manager(t, server, options).socket(namespace, options);
}

/** A connected socket. */
export async function connectSocket(t, server, options = {}, namespace = "/") {
  const socket = socketClient(t, server, options, namespace);
  socket.connect();
  await next(socket, "connect");
  return socket;
}

/** Waits until a socket of the route "upgrade" has left polling, and the server has nothing more to send it. */
export async function upgraded(socket) {
  const { engine } = socket.io;
  if (engine.transport.name === "polling" && engine.opts.transports.length > 1) await next(engine, "upgrade");
  await call(socket, "echo", "fence");
}

/** Emits and gives the first argument of the acknowledgement. */
export function call(socket, ...event) {
  return socket.timeout(10_000).emitWithAck(...event);
}

/** Asserts that `inbox` holds `expected` and that nothing follows it before the answer to an event of the socket's own. */
export async function assertOnly(socket, inbox, expected) {
  await call(socket, "echo", "fence");
  assert.deepEqual(inbox.drain(), expected);
}

/** What arrives for `event`, in an inbox of argument lists. */
export function inboxOf(socket, event) {
  const inbox = new Inbox();
  socket.on(event, (...args) => inbox.push(args));
  return inbox;
}
