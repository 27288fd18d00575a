// A TCP proxy that can fall silent, be slow or cut its connections, as networks do.
import { createServer, connect } from "node:net";
import { once } from "node:events";

export async function startProxy(t, server) {
  const proxy = new Proxy(server.port);
  t.after(() => proxy.stop());
  await proxy.listen();
  return proxy;
}

class Proxy {
  #links = new Set();
  #servers = new Set();
  #silent = { up: false, down: false };
  #cut = false;
  #paused = false;
  #listener;

  constructor(targetPort) {
    this.targetPort = targetPort;
    /** When set, connections that carry matching bytes towards the server are dropped. */
    this.reject = undefined;
    this.#listener = createServer((client) => this.#link(client));
  }

  async listen() {
    this.#listener.listen(0, "127.0.0.1");
    await once(this.#listener, "listening");
    this.port = this.#listener.address().port;
    this.url = `http://127.0.0.1:${this.port}`;
  }

  /** From now on bytes vanish: towards the server (`up`), towards the client (`down`). */
  silence(direction) {
    this.#silent[direction] = true;
  }

  /** Reads no more of what the server sends, so that it cannot write, until `resume`. */
  pause() {
    this.#paused = true;
    for (const server of this.#servers) server.pause();
  }

  resume() {
    this.#paused = false;
    for (const server of this.#servers) server.resume();
  }

  /** Breaks every connection, and each new one until `restore`. */
  cut() {
    this.#cut = true;
    for (const socket of this.#links) socket.destroy();
    this.#links.clear();
    this.#servers.clear();
  }

  /** Lets new connections pass; those that fell silent are broken. */
  restore() {
    this.cut();
    this.#silent = { up: false, down: false };
    this.#cut = false;
  }

  stop() {
    this.cut();
    this.#listener.close();
  }

  #link(client) {
    if (this.#cut) return client.destroy();
    const server = connect(this.targetPort, "127.0.0.1");
    const forget = () => {
      // A silent network does not tell that the other end has gone.
      if (this.#silent.up || this.#silent.down) return;
      this.#links.delete(client);
      this.#links.delete(server);
      this.#servers.delete(server);
      client.destroySoon();
      server.destroySoon();
    };
    this.#servers.add(server);
    for (const socket of [client, server]) {
      socket.setNoDelay(true);
      this.#links.add(socket);
      socket.on("error", forget).on("close", forget);
    }
    client.on("data", (bytes) => {
      if (this.reject?.test(bytes.toString("latin1"))) forget();
      else if (!this.#silent.up) server.write(bytes);
    });
    server.on("data", (bytes) => this.#silent.down || client.write(bytes));
    if (this.#paused) server.pause();
  }
}
