// An Express application as many are: a login form, a session in Redis. All that it knows of Rust is the address to which
// its page connects.
import { createRequire } from "node:module";
import { dirname } from "node:path";
import { RedisStore } from "connect-redis";
import express from "express";
import session from "express-session";
import { createClient } from "redis";
import { page } from "./page.mjs";

const { PORT, REDIS, SECRET, SOCKETS } = process.env;

const client = await createClient({ url: REDIS }).connect();
const app = express();
app.use("/client", express.static(dirname(createRequire(import.meta.url).resolve("socket.io-client/dist/socket.io.js"))));
app.use("/page", express.static(new URL("page", import.meta.url).pathname));
app.use(
  session({
    store: new RedisStore({ client }),
    secret: SECRET,
    // Or else every request would write the session back as it was when the request came, over what sockets have changed.
    resave: false,
    saveUninitialized: false,
    cookie: { maxAge: 30 * 60_000, sameSite: "lax" },
  }),
);

app.get("/", ({ session }, response) => {
  response.send(page({ user: session.user, cart: session.cart ?? [], sockets: SOCKETS }));
});

app.post("/login", express.urlencoded(), ({ session, body }, response, next) => {
  const user = String(body?.user ?? "").trim().slice(0, 30);
  if (user === "") return response.redirect("/");
  // A new id, so that whoever knew the cookie before is not logged in with it.
  session.regenerate((error) => {
    if (error) return next(error);
    // `session` is the old one.
    response.req.session.user = user;
    response.redirect("/");
  });
});

app.post("/logout", ({ session }, response, next) => {
  session.destroy((error) => (error ? next(error) : response.redirect("/")));
});

const server = app.listen(Number(PORT), "127.0.0.1", (error) => {
  if (error) throw error;
  console.log(`listening on http://127.0.0.1:${server.address().port}`);
});

// Whoever has started this program holds its input open.
process.stdin.on("end", () => process.exit()).resume();
