// The example `tenants`.
import assert from "node:assert/strict";
import { call, connectSocket, inboxOf, manager } from "../support/clients.mjs";
import { next, scenario } from "../support/scenario.mjs";

const server = { url: process.env.TENANTS };

scenario("namespaces by pattern and by who asks", async (t) => {
  const connection = manager(t, server);
  const join = async (path, auth) => {
    const socket = connection.socket(path, { auth }).connect();
    await next(socket, "connect");
    return socket;
  };
  const seven = await join("/board/7");
  const eight = await join("/board/8");
  assert.equal(await call(seven, "which"), "7");
  const other = await connectSocket(t, server, {}, "/board/7");
  const drawn = [inboxOf(other, "drawn"), inboxOf(eight, "drawn")];
  seven.emit("draw", 1.5, 2);
  assert.deepEqual(await drawn[0].take(), [1.5, 2]);
  assert.equal(await call(eight, "which"), "8");
  assert.equal(drawn[1].size, 0);
  assert.equal(await call(await join("/tenant/acme", { tenant: "acme" }), "where"), "/tenant/acme");
  const stranger = connection.socket("/tenant/other", { auth: { tenant: "acme" } }).connect();
  const [error] = await next(stranger, "connect_error");
  assert.equal(error.message, "Invalid namespace");
});
