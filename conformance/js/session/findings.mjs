// What goes wrong with the session in the configuration of the website's how-to, each as a few steps that any server of the
// contract in `servers/session.mjs` can be taken through. `findings.test.mjs` asserts what they show, `npm run faults` prints it.
import { call, inboxOf } from "../support/clients.mjs";
import { rawWebSocket } from "../support/raw.mjs";
import { startRedis } from "../support/redis.mjs";
import { next, range, until } from "../support/scenario.mjs";
import { openSocket, stored } from "../support/site.mjs";
import { sessionServer } from "../support/target.mjs";
import { startExpress } from "../servers/express.mjs";
import { Visitor, loggedIn } from "../support/visitor.mjs";

const POLLING = "/socket.io/?EIO=4&transport=polling";
const WEBSOCKET = { path: "/socket.io/" };

/** Each has a name, the options it starts the server with, and steps that tell whether it went wrong, and what was seen. */
export const FINDINGS = [
  {
    name: "F1",
    title: "what a page stores during a long poll is lost",
    show: ({ t, server }) =>
      trials(async () => {
        const visitor = await loggedIn(server);
        const socket = await openSocket(t, server, visitor, "polling");
        await visitor.get(server, "/me");
        for (let nth = 0; nth < 3; nth++) await visitor.post(server, "/increment", { key: "count" });
        // The answer ends the poll that was open all the while.
        await call(socket, "echo", 1);
        const { count } = await visitor.get(server, "/me");
        socket.disconnect();
        return count !== 3;
      }),
  },
  {
    name: "F2",
    title: "a logout while a poll is open logs nobody out",
    show: ({ t, server }) =>
      trials(async () => {
        const visitor = await loggedIn(server);
        const before = visitor.clone();
        const socket = await openSocket(t, server, before, "polling");
        const ended = next(socket, "disconnect");
        await visitor.get(server, "/me");
        await visitor.post(server, "/logout");
        await ended;
        const { user } = await before.get(server, "/me");
        return user !== undefined;
      }),
  },
  {
    name: "F3",
    title: "a handler that saves deletes a session that pages have kept alive",
    options: { max_age: 1500 },
    async show({ t, server, express, redis }) {
      const visitor = await loggedIn(express);
      const socket = await openSocket(t, server, visitor);
      const date = Date.parse((await stored(redis, visitor)).cookie.expires);
      await until("past the date of the record", async () => (await visitor.get(express, "/me")).user === "ada" && Date.now() > date);
      await call(socket, "set", "mine", 1);
      const { user } = await visitor.get(express, "/me");
      return { wrong: user === undefined, saw: user ? "the session lives" : "logged out" };
    },
  },
  {
    name: "F4",
    title: "a handler that saves after a logout brings the session back",
    options: { end: "callback" },
    async show({ t, server, express, redis }) {
      const visitor = await loggedIn(express);
      const before = visitor.clone();
      const socket = await openSocket(t, server, visitor);
      const slow = call(socket, "set-slow", "mine", 1, 300);
      await visitor.post(express, "/logout");
      await until("logged out", async () => !(await redis.client.exists(before.key)));
      await slow;
      const { user } = await before.get(express, "/me");
      return { wrong: user !== undefined, saw: user ? `the old cookie is ${user}'s again` : "the old cookie is nobody's" };
    },
  },
  {
    name: "F5",
    title: "a session given out with a WebSocket's handshake is not stored",
    options: { save_uninitialized: true },
    async show({ server, redis }) {
      const visitor = new Visitor();
      visitor.keep((await rawWebSocket(server, WEBSOCKET).answered()).cookies);
      const known = await redis.client.exists(visitor.key);
      return { wrong: known === 0, saw: known ? "stored" : "the cookie names nothing" };
    },
  },
  {
    name: "F6",
    title: "two cookies on a WebSocket's handshake become one line",
    options: { save_uninitialized: true, second_cookie: true },
    async show({ server }) {
      const { cookies } = await rawWebSocket(server, WEBSOCKET).answered();
      return { wrong: cookies.length === 1, saw: `${cookies.length} Set-Cookie` };
    },
  },
  {
    name: "F7",
    title: "behind a TLS proxy the handshake's cookie is weaker than a page's",
    options: { save_uninitialized: true, proxy: true, secure: "auto", same_site: "auto" },
    async show({ server }) {
      const attributes = async (path) => {
        const { headers } = await fetch(server.url + path, { headers: { "x-forwarded-proto": "https" } });
        return headers.getSetCookie()[0].replace(/^.*HttpOnly;? ?/, "");
      };
      const [page, handshake] = [await attributes("/me"), await attributes(POLLING)];
      return { wrong: page !== handshake, saw: page === handshake ? `both ${page}` : `${handshake}, a page's ${page}` };
    },
  },
  {
    name: "F8",
    title: "requests that are no handshake store sessions",
    options: { save_uninitialized: true },
    async show({ server, redis }) {
      for (const query of ["", "?EIO=4&transport=polling&sid=unknown", "?EIO=4&transport=tachyon"]) {
        const response = await fetch(`${server.url}/socket.io/${query}`);
        await response.text();
      }
      const count = await redis.client.dbSize();
      return { wrong: count > 0, saw: `${count} sessions for 3 requests` };
    },
  },
  {
    name: "F9",
    title: "a page of another origin opens a WebSocket with the visitor's session",
    options: { origins: "https://app.example" },
    async show({ server }) {
      const { extraHeaders } = await loggedIn(server);
      const socket = rawWebSocket(server, { ...WEBSOCKET, headers: { ...extraHeaders, origin: "https://evil.example" } });
      const { status } = await socket.answered();
      return { wrong: status === 101, saw: `${status}` };
    },
  },
  {
    name: "F11",
    title: "two sockets of a visitor count apart, and undo what a page has stored",
    options: { reload: "never" },
    async show({ t, server, express }) {
      const visitor = await loggedIn(express);
      const sockets = [await openSocket(t, server, visitor), await openSocket(t, server, visitor)];
      const counts = [];
      for (const nth of [0, 0, 1, 0]) counts.push(await call(sockets[nth], "increment", "count"));
      await visitor.post(express, "/set", { key: "page", value: true });
      await call(sockets[1], "increment", "count");
      const { page } = await visitor.get(express, "/me");
      return { wrong: counts.join() !== "1,2,3,4" || !page, saw: `${counts}; the page's value is ${page ? "there" : "gone"}` };
    },
  },
  {
    name: "F12",
    title: "increments of many sockets overwrite each other",
    async show({ t, server, express }) {
      const visitor = await loggedIn(express);
      const sockets = await Promise.all(range(10).map(() => openSocket(t, server, visitor)));
      await Promise.all(sockets.flatMap((socket) => range(10).map(() => call(socket, "increment", "count"))));
      const { count } = await visitor.get(express, "/me");
      return { wrong: count !== 100, saw: `${count} of 100` };
    },
  },
  {
    name: "S16",
    title: "a socket stays open, and its user known, after a logout in another process",
    options: { reload: "never", grace: 100 },
    async show({ t, server, express }) {
      const visitor = await loggedIn(express);
      const socket = await openSocket(t, server, visitor);
      // The official server never ends it; some time must do for "never".
      const ended = inboxOf(socket, "disconnect");
      await visitor.post(express, "/logout");
      const wrong = await ended.take(1500).then(
        () => false,
        () => true,
      );
      return { wrong, saw: wrong ? `open, as ${await call(socket, "get", "user")}` : "ended" };
    },
  },
  {
    name: "S18",
    title: "a new id made in a handler logs the visitor out",
    async show({ t, server, express }) {
      const visitor = await loggedIn(express);
      const socket = await openSocket(t, server, visitor);
      await call(socket, "regenerate");
      const { user } = await visitor.get(express, "/me");
      return { wrong: user === undefined, saw: user ? "logged in" : "logged out" };
    },
  },
];

/** Tries several times: a poll that the client begins is most likely there once a page has been answered, but not certainly. */
async function trials(goesWrong) {
  const count = 10;
  let wrong = 0;
  for (let trial = 0; trial < count; trial++) if (await goesWrong()) wrong++;
  return { wrong: wrong > 0, saw: `${wrong} of ${count} times` };
}

/** Takes a server, the official one or ours, through the steps of a finding. */
export async function measure(t, { options, show }, node) {
  const redis = await startRedis(t);
  // Handlers that do not read the session again are a mistake that only the official server leaves room for.
  const { reload, ...common } = options ?? {};
  const settings = { ...common, ...(node && reload && { reload }), redis: redis.url };
  const express = await startExpress(t, { max_age: options?.max_age, redis: redis.url });
  const server = await sessionServer(t, settings, node);
  return show({ t, redis, express, server });
}

/** The findings as a Markdown table; `columns` are maps from their names to what was seen. */
export function table(columns) {
  const row = (...cells) => `| ${cells.join(" | ")} |`;
  const cell = (result) => (result === undefined ? "" : `${result.wrong ? "**yes**" : "no"}: ${result.saw}`);
  const names = Object.keys(columns);
  return [
    row("", "does it happen?", ...names),
    row("---", "---", ...names.map(() => "---")),
    ...FINDINGS.map(({ name, title }) => row(name, title, ...names.map((column) => cell(columns[column].get(name))))),
  ].join("\n");
}
