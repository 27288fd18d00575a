// Engine.IO spoken by hand, for what the official client never does.
import assert from "node:assert/strict";
import WebSocket from "ws";
import { Inbox, within } from "./scenario.mjs";

/** A connection by HTTP long-polling, packet by packet. */
export class Polling {
  constructor(server, { path = "/engine.io/", query = "" } = {}) {
    this.server = server;
    this.base = `${server.url}${path}?EIO=4&transport=polling${query}`;
  }

  /** Opens a connection and returns it, its open packet read. */
  static async open(server, { headers, ...options } = {}) {
    const polling = new Polling(server, options);
    polling.response = await fetch(polling.base, { headers });
    const payload = await polling.response.text();
    assert.equal(polling.response.status, 200, payload);
    const [open, ...rest] = payload.split("\x1e");
    assert.equal(open[0], "0");
    polling.open = JSON.parse(open.slice(1));
    polling.sid = polling.open.sid;
    polling.rest = rest;
    return polling;
  }

  get url() {
    return `${this.base}&sid=${this.sid}`;
  }

  /** The response to a GET. */
  get(options) {
    return fetch(this.url, options);
  }

  /** The body of a GET, which must succeed. */
  async poll(options) {
    const response = await this.get(options);
    assert.equal(response.status, 200);
    return response.text();
  }

  /** The response to a POST. */
  post(body, headers = {}) {
    return fetch(this.url, { method: "POST", body, headers });
  }

  /** A POST that must be answered `ok`. */
  async push(body) {
    const response = await this.post(body);
    assert.equal(response.status, 200);
    assert.equal(await response.text(), "ok");
  }

  /** Polls until all of `count` packets but pings and noops have come. */
  async packets(count) {
    const packets = [];
    while (packets.length < count) {
      for (const packet of (await this.poll()).split("\x1e")) {
        if (packet === "2") await this.push("3");
        else if (packet !== "6") packets.push(packet);
      }
    }
    return packets;
  }

  /** Asserts that the server no longer knows the connection. */
  async assertUnknown() {
    const response = await this.get();
    assert.equal(response.status, 400);
    assert.deepEqual(await response.json(), { code: 1, message: "Session ID unknown" });
  }

  /** Opens a WebSocket for this connection. */
  webSocket() {
    return rawWebSocket(this.server, { query: `&sid=${this.sid}` });
  }
}

/** A WebSocket whose frames land in `inbox` (text as string, binary as Buffer); `closed` gives the close code. */
export function rawWebSocket(server, { path = "/engine.io/", query = "", parameters = "EIO=4&transport=websocket", headers } = {}) {
  const socket = new WebSocket(`ws://127.0.0.1:${server.port}${path}?${parameters}${query}`, { headers });
  socket.inbox = new Inbox();
  socket.on("message", (data, isBinary) => socket.inbox.push(isBinary ? data : data.toString()));
  socket.on("error", () => {});
  const closed = new Promise((resolve) => socket.on("close", (code) => resolve(code)));
  socket.closed = (milliseconds = 10_000) => within(milliseconds, "close of the WebSocket", (resolve) => closed.then(resolve));
  socket.opened = () =>
    within(10_000, "open WebSocket", (resolve, reject) => {
      socket.once("open", () => resolve(socket));
      socket.once("error", reject);
    });
  // Whether it is opened or refused.
  socket.answered = () =>
    within(10_000, "answer to the handshake", (resolve, reject) => {
      const answered = ({ statusCode, headers }) => resolve({ status: statusCode, cookies: headers["set-cookie"] ?? [] });
      socket.once("upgrade", answered);
      socket.once("unexpected-response", (_, response) => answered(response));
      socket.once("error", reject);
    }).finally(() => socket.terminate());
  socket.refused = () =>
    within(10_000, "refusal of the WebSocket", (resolve, reject) => {
      socket.once("open", () => reject(new Error("the WebSocket was opened")));
      socket.once("unexpected-response", (_, response) => {
        let body = "";
        response.on("data", (chunk) => (body += chunk));
        response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body }));
      });
    });
  return socket;
}

/** A connection by WebSocket alone, its open packet read. */
export async function openWebSocket(server, options) {
  const socket = rawWebSocket(server, options);
  await socket.opened();
  const open = await socket.inbox.take();
  assert.equal(open[0], "0");
  socket.open = JSON.parse(open.slice(1));
  socket.sid = socket.open.sid;
  return socket;
}
