// An Express application with express-session and connect-redis, as sites have it: the other side of a shared session.
//
// Pages, all with JSON: GET /me (the session without its cookie), GET /cookie; POST /login {user} (a new id, as passport
// does it), /logout, /regenerate, /set {key, value}, /remove {key}, /increment {key}, /max-age {ms}, /slow {key, value, ms}
// (sets after so long a time), /odd (values that JSON does not have), /passport/login {user}, /passport/logout.
import { once } from "node:events";
import { createServer } from "node:http";
import { setTimeout as sleep } from "node:timers/promises";
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import passport from "passport";
import { createClient } from "redis";

/** Starts an application on a free port; it ends with the scenario. Options are those of `servers/session.mjs`. */
export async function startExpress(t, options) {
  const { app, client } = await createApplication(options);
  const http = createServer(app).listen(0, "127.0.0.1");
  t.after(() => {
    http.close();
    http.closeAllConnections();
    client.destroy();
  });
  await once(http, "listening");
  const { port } = http.address();
  return { port, url: `http://127.0.0.1:${port}` };
}

/** The application and its session middleware; `ended` is told the id of a session that a page has destroyed. */
export async function createApplication(given, ended = () => {}) {
  const flag = (name) => String(given[name]) === "true";
  const client = createClient({ url: given.redis, socket: { reconnectStrategy: 20 } });
  // It connects again by itself; requests wait until then.
  client.on("error", () => {});
  await client.connect();
  const sessions = session({
    store: new RedisStore({ client, prefix: given.prefix ?? "sess:" }),
    secret: (given.secret ?? "keyboard cat").split(","),
    resave: flag("resave"),
    saveUninitialized: flag("save_uninitialized"),
    rolling: flag("rolling"),
    cookie: {
      // An option that is there but undefined would replace the default.
      ...(given.max_age && { maxAge: Number(given.max_age) }),
      ...(given.secure && { secure: given.secure === "auto" ? "auto" : flag("secure") }),
      ...(given.same_site && { sameSite: given.same_site }),
    },
  });

  const app = express();
  app.set("trust proxy", flag("proxy"));
  app.use(sessions, express.json({ strict: false }));

  app.get("/me", ({ session }, response) => {
    const { cookie, ...values } = session;
    response.json(values);
  });
  app.get("/cookie", ({ session: { cookie } }, response) => {
    response.json({ expires: cookie.expires ?? null, originalMaxAge: cookie.originalMaxAge ?? null });
  });
  app.post("/login", async (request, response) => {
    await called((done) => request.session.regenerate(done));
    request.session.user = request.body.user;
    response.json(true);
  });
  app.post("/logout", async ({ session }, response) => {
    await called((done) => session.destroy(done));
    ended(session.id);
    response.json(true);
  });
  app.post("/regenerate", async ({ session }, response) => {
    await called((done) => session.regenerate(done));
    response.json(true);
  });
  app.post("/set", ({ session, body: { key, value } }, response) => {
    session[key] = value;
    response.json(true);
  });
  app.post("/remove", ({ session, body: { key } }, response) => {
    delete session[key];
    response.json(true);
  });
  app.post("/increment", ({ session, body: { key } }, response) => {
    session[key] = (session[key] ?? 0) + 1;
    response.json(session[key]);
  });
  app.post("/max-age", ({ session, body: { ms } }, response) => {
    session.cookie.maxAge = ms;
    response.json(true);
  });
  app.post("/slow", async ({ session, body: { key, value, ms } }, response) => {
    await sleep(ms);
    session[key] = value;
    response.json(true);
  });
  app.post("/odd", ({ session }, response) => {
    Object.assign(session, {
      10: "ten",
      2: "two",
      date: new Date(0),
      buffer: Buffer.from([1, 2, 255]),
      nan: NaN,
      infinite: -Infinity,
      nothing: undefined,
      minusZero: -0,
      big: 1e21,
      small: 1e-7,
      half: "cut \ud83d",
      map: new Map([[1, 2]]),
      hole: [1, , 3],
      nested: { cookie: "x" },
    });
    response.json(true);
  });

  const guard = new passport.Passport();
  guard.serializeUser((user, done) => done(null, user));
  guard.deserializeUser((user, done) => done(null, user));
  app.use("/passport", guard.initialize(), guard.session());
  app.post("/passport/login", async (request, response) => {
    await called((done) => request.login(request.body.user, done));
    response.json(true);
  });
  app.post("/passport/logout", async (request, response) => {
    await called((done) => request.logout(done));
    response.json(true);
  });

  app.use((error, request, response, next) => (response.headersSent ? next(error) : response.status(500).json({ error: error.message })));
  return { app, sessions, client };
}

/** Waits for a function with a callback. */
function called(start) {
  return new Promise((resolve, reject) => start((error) => (error ? reject(error) : resolve())));
}
