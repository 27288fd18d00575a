// `scenario` is a test with a deadline; the rest waits for what a scenario expects, and fails when it does not come.
import assert from "node:assert/strict";
import test from "node:test";
import { setTimeout as sleep } from "node:timers/promises";

export function scenario(name, ...rest) {
  const run = rest.pop();
  test(name, { timeout: 30_000, ...rest[0] }, run);
}

/** The first arguments of the next `event`; rejects after `milliseconds`. */
export function next(emitter, event, milliseconds = 10_000) {
  return within(milliseconds, `"${event}"`, (resolve) => emitter.once(event, (...args) => resolve(args)));
}

/** A promise that rejects, naming what was awaited, when nothing has settled it in time. */
export function within(milliseconds, what, start) {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`no ${what} within ${milliseconds} ms`)), milliseconds);
    const settle = (act) => (value) => {
      clearTimeout(timer);
      act(value);
    };
    start(settle(resolve), settle(reject));
  });
}

/** Asks again and again until `holds` says so. */
export async function until(what, holds, milliseconds = 10_000) {
  const deadline = Date.now() + milliseconds;
  while (!(await holds())) {
    if (Date.now() > deadline) throw new Error(`not ${what} within ${milliseconds} ms`);
    await sleep(10);
  }
}

/** Keeps what arrives until somebody asks for it, in order. */
export class Inbox {
  #items = [];
  #waiters = [];

  push(item) {
    this.#items.push(item);
    this.#waiters.splice(0).forEach((wake) => wake());
  }

  /** Takes the oldest item; waits for one. */
  take(milliseconds = 10_000) {
    return this.find(() => true, "item", milliseconds);
  }

  /** Takes the oldest item that `matches`; waits for one. */
  async find(matches, what = "match", milliseconds = 10_000) {
    return within(milliseconds, `${what} (${this.#items.length} waiting: ${JSON.stringify(this.#items.slice(0, 3)).slice(0, 300)})`, (resolve) => {
      const look = () => {
        const at = this.#items.findIndex(matches);
        if (at < 0) this.#waiters.push(look);
        else resolve(this.#items.splice(at, 1)[0]);
      };
      look();
    });
  }

  /** Takes `count` items; waits for them. */
  async takeMany(count, milliseconds) {
    const items = [];
    while (items.length < count) items.push(await this.take(milliseconds));
    return items;
  }

  /** Takes what is there. */
  drain() {
    return this.#items.splice(0);
  }

  get size() {
    return this.#items.length;
  }
}

export function range(count) {
  return Array.from({ length: count }, (_, index) => index);
}

/** Asserts that the messages are the expected ones in their order; names the first that is not, without printing megabytes. */
export function assertMessages(actual, expected) {
  assert.equal(actual.length, expected.length, "number of messages");
  const show = (message) => `${String(message).slice(0, 60)} (${message?.length ?? "no"} long)`;
  expected.forEach((message, at) => {
    const same = Buffer.isBuffer(message) ? Buffer.isBuffer(actual[at]) && message.equals(actual[at]) : message === actual[at];
    assert.ok(same, `message ${at}: expected ${show(message)}, was ${show(actual[at])}`);
  });
}
