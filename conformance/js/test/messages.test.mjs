// What engine.io-client sends comes back whole and in order, whichever way it is connected.
import assert from "node:assert/strict";
import { ROUTES, openEngineClient } from "../support/clients.mjs";
import { assertMessages, range, scenario } from "../support/scenario.mjs";
import { engineServer } from "../support/target.mjs";

const TEXTS = ["plain", "", "€ 😀 \u0000 \u001f", "line\nline", "4", "b64", "x".repeat(70_000)];
const BINARIES = [Buffer.alloc(0), Buffer.from([0, 30, 255, 4]), Buffer.from(range(256)), Buffer.alloc(70_000, 7)];

for (const [route, options] of Object.entries(ROUTES)) {
  scenario(`${route}: text of every kind`, async (t) => {
    const client = await openEngineClient(t, await engineServer(t), options);
    for (const text of TEXTS) client.send(text);
    // The official parser reads an empty message as one without data.
    assertMessages(await client.inbox.takeMany(TEXTS.length), TEXTS.map((text) => text || undefined));
  });

  scenario(`${route}: binary of every length`, async (t) => {
    const client = await openEngineClient(t, await engineServer(t), options);
    for (const binary of BINARIES) client.send(binary);
    assertMessages(await client.inbox.takeMany(BINARIES.length), BINARIES);
  });

  scenario(`${route}: views of a larger buffer`, async (t) => {
    const client = await openEngineClient(t, await engineServer(t), options);
    const buffer = new Uint8Array(range(64)).buffer;
    client.send(new Uint8Array(buffer, 8, 4));
    client.send(new Uint16Array(buffer, 8, 2));
    client.send(buffer.slice(8, 12));
    const expected = Buffer.from([8, 9, 10, 11]);
    assertMessages(await client.inbox.takeMany(3), [expected, expected, expected]);
  });

  scenario(`${route}: text and binary keep their order`, async (t) => {
    const client = await openEngineClient(t, await engineServer(t), options);
    const sent = range(200).map((nth) => (nth % 3 ? `text ${nth}` : Buffer.from(`binary ${nth}`)));
    for (const message of sent) client.send(message);
    assertMessages(await client.inbox.takeMany(sent.length), sent);
  });

  scenario(`${route}: a burst from the server keeps its order`, async (t) => {
    const client = await openEngineClient(t, await engineServer(t), options);
    client.send("burst 2000");
    assertMessages(await client.inbox.takeMany(2000), range(2000).map((nth) => `burst ${nth}`));
  });

  scenario(`${route}: both directions at once`, async (t) => {
    const client = await openEngineClient(t, await engineServer(t), options);
    for (const nth of range(100)) {
      client.send(`mine ${nth}`);
      client.send("burst 3");
    }
    const received = await client.inbox.takeMany(400);
    assertMessages(received.filter((text) => text.startsWith("mine")), range(100).map((nth) => `mine ${nth}`));
    assertMessages(received.filter((text) => text.startsWith("burst")), range(300).map((nth) => `burst ${nth % 3}`));
  });

  scenario(`${route}: binary as base64`, async (t) => {
    const client = await openEngineClient(t, await engineServer(t), { ...options, forceBase64: true });
    for (const binary of BINARIES) client.send(binary);
    assertMessages(await client.inbox.takeMany(BINARIES.length), BINARIES);
  });

  scenario(`${route}: the server knows the transport`, async (t) => {
    const client = await openEngineClient(t, await engineServer(t), options);
    client.send("who");
    const transport = route === "polling" ? "polling" : "websocket";
    assert.deepEqual(JSON.parse(await client.inbox.take()), { transport, protocol: 4 });
  });
}
