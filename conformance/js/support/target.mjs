// Starts the server under test: ours (ENGINE_SERVER, SOCKET_SERVER, API_SERVER and SESSION_SERVER name the binaries) or, with
// TARGET=node, the official one, which proves that a scenario asks for what the official server does.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { Inbox, within } from "./scenario.mjs";

/** True when the target is the official server; scenarios name the few places where ours differs on purpose. */
export const official = process.env.TARGET === "node";

/** Options of a scenario that only ours is asked for, as the official server `lacks` it. */
export function oursAlone(lacks) {
  return { skip: official && `the official server ${lacks}` };
}

/** Starts an Engine.IO server; `options` are its `name=value` arguments (see `servers/engine.mjs`). */
export function engineServer(t, options = {}) {
  return start(t, "engine", process.env.ENGINE_SERVER, options);
}

/** Starts a Socket.IO server; `options` are its `name=value` arguments (see `servers/socket.mjs`). */
export function socketServer(t, options = {}) {
  return start(t, "socket", process.env.SOCKET_SERVER, options);
}

/** Starts a Socket.IO server with all its features; `options` are its `name=value` arguments (see `servers/api.mjs`). */
export function apiServer(t, options = {}) {
  return start(t, "api", process.env.API_SERVER, options);
}

/** Starts a Socket.IO server that shares sessions; `options` are its `name=value` arguments (see `servers/session.mjs`). */
export function sessionServer(t, options = {}, node = official) {
  return start(t, "session", process.env.SESSION_SERVER, options, node);
}

async function start(t, kind, binary, options, node = official) {
  const args = Object.entries(options).map(([name, value]) => `${name}=${value}`);
  const script = fileURLToPath(new URL(`../servers/${kind}.mjs`, import.meta.url));
  if (!node && !binary) throw new Error(`${kind.toUpperCase()}_SERVER must name the binary, or TARGET=node`);
  const child = node ? spawn(process.execPath, [script, ...args]) : spawn(binary, args);
  child.stderr.pipe(process.stderr);
  const server = new Target(child);
  t.after(() => server.stop());
  await server.listening();
  return server;
}

class Target {
  /** What the server reported: `{event: "open" | "upgrade" | "close" | "error", ...}`. */
  reports = new Inbox();
  #child;
  #port;

  constructor(child) {
    this.#child = child;
    this.#port = within(10_000, "listening server", (resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`the server ended with ${code}`)));
      createInterface(child.stdout).on("line", (line) => {
        const listening = line.match(/^listening on http:\/\/127\.0\.0\.1:(\d+)$/);
        if (listening) resolve(Number(listening[1]));
        else this.reports.push(JSON.parse(line));
      });
    });
  }

  async listening() {
    this.port = await this.#port;
    this.url = `http://127.0.0.1:${this.port}`;
  }

  /** The next close that the server reports, of `sid` if given. */
  closed(sid, milliseconds) {
    const matches = (report) => report.event === "close" && (!sid || report.sid === sid);
    return this.reports.find(matches, "report of a close", milliseconds);
  }

  /** The next report of the kind `event`, of the connection or socket `id` if given. */
  report(event, id) {
    const matches = (report) => report.event === event && (!id || report.sid === id || report.id === id);
    return this.reports.find(matches, `report "${event}"`);
  }

  /** Asks for an orderly end: what is queued is flushed, connections are closed. */
  shutdown() {
    this.#child.stdin.write("shutdown\n");
  }

  /** Asks that the connections be closed one after the other within so many milliseconds. */
  drain(milliseconds) {
    this.#child.stdin.write(`drain=${milliseconds}\n`);
  }

  async stop() {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }
}
