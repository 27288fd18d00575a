// Two hundred connections at once, each served in order, all gone in the end.
import assert from "node:assert/strict";
import { ROUTES, openEngineClient } from "../support/clients.mjs";
import { range, scenario } from "../support/scenario.mjs";
import { engineServer } from "../support/target.mjs";

const CROWD = 200;

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: ${CROWD} connections at once`, async (t) => {
    const server = await engineServer(t);
    const clients = await Promise.all(range(CROWD).map(() => openEngineClient(t, server, options)));
    clients[0].send("count");
    assert.equal(await clients[0].inbox.take(), String(CROWD));
    for (const [nth, client] of clients.entries()) for (const turn of range(5)) client.send(`${nth} ${turn}`);
    for (const [nth, client] of clients.entries())
      assert.deepEqual(await client.inbox.takeMany(5), range(5).map((turn) => `${nth} ${turn}`));
    for (const client of clients.slice(1)) client.close();
    for (const client of clients.slice(1)) assert.equal((await server.closed(client.sid)).reason, "transport close");
    clients[0].send("count");
    assert.equal(await clients[0].inbox.take(), "1");
  });
}
