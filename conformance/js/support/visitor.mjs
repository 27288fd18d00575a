// A browser as far as cookies go: requests carry what earlier answers have set, to whichever server of the site.
import assert from "node:assert/strict";

const SESSION = "connect.sid";

export class Visitor {
  #cookies = new Map();
  /** What sockets send along. They hold this very object, so a reconnect carries the newest cookie. */
  extraHeaders = {};

  /** The answer to a request, its cookies kept. */
  async request(server, path, { headers, ...options } = {}) {
    const response = await fetch(server.url + path, { ...options, headers: { ...this.extraHeaders, ...headers } });
    this.keep(response.headers.getSetCookie());
    return response;
  }

  /** The JSON that a page answers, which must not fail. */
  async get(server, path) {
    return value(await this.request(server, path), path);
  }

  /** The JSON that the answer to a form holds, which must not fail. */
  async post(server, path, fields = {}) {
    const headers = { "content-type": "application/json" };
    return value(await this.request(server, path, { method: "POST", body: JSON.stringify(fields), headers }), path);
  }

  /** Takes over `Set-Cookie` lines. */
  keep(lines) {
    for (const line of lines) {
      const [, name, value] = line.match(/^([^=]+)=([^;]*)/);
      this.#cookies.set(name, value);
    }
    const cookies = [...this.#cookies].map(([name, value]) => `${name}=${value}`);
    if (cookies.length > 0) this.extraHeaders.cookie = cookies.join("; ");
  }

  /** The value of the session's cookie as it goes over the wire. */
  get signed() {
    return this.#cookies.get(SESSION);
  }

  /** The session's id, from the cookie. */
  get sid() {
    return sidOf(this.signed);
  }

  /** Where the store keeps the session. */
  get key() {
    return `sess:${this.sid}`;
  }

  /** Who has the same cookies now, and keeps them when this visitor gets others. */
  clone() {
    const other = new Visitor();
    other.keep([...this.#cookies].map(([name, value]) => `${name}=${value}`));
    return other;
  }
}

/** A visitor who is logged in under `user` at `server`. */
export async function loggedIn(server, user = "ada") {
  const visitor = new Visitor();
  await visitor.post(server, "/login", { user });
  return visitor;
}

/** The id within the value of a session cookie. */
export function sidOf(signed) {
  const text = decodeURIComponent(signed);
  return text.slice(2, text.lastIndexOf("."));
}

async function value(response, path) {
  const body = await response.text();
  assert.equal(response.status, 200, `${path}: ${body}`);
  return JSON.parse(body);
}
