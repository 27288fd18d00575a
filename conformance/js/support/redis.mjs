// A Redis of a scenario's own: a real `redis-server` on a free port, in a temporary folder, gone when the scenario ends.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { createClient } from "redis";
import { within } from "./scenario.mjs";

const PROGRAM = process.env.REDIS_SERVER ?? "redis-server";
const MISSING = "Redis is missing: install Debian's package redis-server, or name the program in REDIS_SERVER";

/** What clients say about their connection; everything else is a question about sessions. */
const HOUSEKEEPING = new Set(["hello", "client", "ping", "info", "auth", "select", "script", "command", "config", "quit", "function"]);

/** Starts a Redis. One that is `durable` keeps what it acknowledged when it is killed; the others forget. */
export async function startRedis(t, { durable = false } = {}) {
  const folder = await mkdtemp(join(tmpdir(), "conformance-redis-"));
  const redis = new Redis(folder, durable);
  const kill = () => redis.abandon();
  // For runs that are broken off, in which no scenario comes to its end.
  process.once("exit", kill);
  t.after(async () => {
    await redis.stop();
    process.removeListener("exit", kill);
    await rm(folder, { recursive: true, force: true });
  });
  await redis.start();
  return redis;
}

class Redis {
  #folder;
  #durable;
  #child;

  constructor(folder, durable) {
    this.#folder = folder;
    this.#durable = durable;
  }

  /** Starts on a free port. Another process may take the port before Redis does: then on another one. */
  async start() {
    for (let attempts = 5; ; attempts--) {
      this.port = await freePort();
      try {
        await this.#spawn();
        break;
      } catch (error) {
        if (attempts === 0 || error.code === "ENOENT") throw error;
      }
    }
    this.url = `redis://127.0.0.1:${this.port}/`;
    /** For what a scenario asks and changes by itself. */
    this.client = createClient({ url: this.url, socket: { reconnectStrategy: 20 } });
    // It connects again by itself; commands wait until then.
    this.client.on("error", () => {});
    await this.client.connect();
    await this.client.ping();
  }

  async #spawn() {
    const disk = this.#durable ? ["--appendonly", "yes", "--appendfsync", "always"] : ["--appendonly", "no"];
    const address = ["--port", this.port, "--bind", "127.0.0.1"];
    const child = spawn(PROGRAM, [...address, "--save", "", ...disk, "--dir", this.#folder, "--daemonize", "no"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    await within(10_000, "Redis that accepts connections", (resolve, reject) => {
      child.once("error", (error) => {
        if (error.code === "ENOENT") error.message = MISSING;
        reject(error);
      });
      child.once("exit", (code) => reject(new Error(`${PROGRAM} ended with ${code}`)));
      createInterface(child.stdout).on("line", (line) => line.includes("Ready to accept connections") && resolve());
    });
    this.#child = child;
  }

  /** Ends it as a power cut does. */
  async kill() {
    const gone = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await gone;
  }

  /** Starts it again, on the same port, after `kill`. */
  async restart() {
    await this.#spawn();
    await this.client.ping();
  }

  /** From now on it answers nobody, but connections stay open; until `resume`. */
  pause() {
    this.#child.kill("SIGSTOP");
  }

  resume() {
    this.#child.kill("SIGCONT");
  }

  async stop() {
    this.client?.destroy();
    if (this.#child && this.#child.exitCode === null && this.#child.signalCode === null) await this.kill();
  }

  abandon() {
    this.#child?.kill("SIGKILL");
  }

  /** The commands about keys that others send during `act`: `{name, key}`, those within scripts left out. */
  async commands(act) {
    const { addr: own } = await this.client.clientInfo();
    const lines = [];
    let fenced;
    const monitor = this.client.duplicate();
    monitor.on("error", () => {});
    await monitor.connect();
    try {
      const fence = `fence ${Math.random()}`;
      await monitor.monitor((line) => (line.includes(fence) ? fenced?.() : lines.push(line)));
      await act();
      // Redis tells of commands in the order in which it carries them out.
      await within(10_000, "fence", (resolve, reject) => {
        fenced = resolve;
        this.client.echo(fence).catch(reject);
      });
    } finally {
      monitor.destroy();
    }
    return lines
      .map(parseCommand)
      .filter(({ from, name }) => from !== own && from !== "lua" && !HOUSEKEEPING.has(name))
      .map(({ name, key }) => ({ name, key }));
  }
}

/** Reads `1339518083.107412 [0 127.0.0.1:60866] "get" "sess:a"`; of a script, the key is the first that it is given. */
function parseCommand(line) {
  const [, from, rest] = line.match(/^[\d.]+ \[\d+ (\S+)\] (.*)$/);
  const words = [...rest.matchAll(/"((?:[^"\\]|\\.)*)"/g)].map(([, word]) => word);
  const name = words[0].toLowerCase();
  return { from, name, key: /^eval|^fcall/.test(name) ? words[3] : words[1] };
}

async function freePort() {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  server.close();
  await once(server, "close");
  return port;
}
