// A client on a thread of its own that sends events as fast as the server reads them, until it is stopped.
import { once } from "node:events";
import { Worker, isMainThread, parentPort, workerData } from "node:worker_threads";
import WebSocket from "ws";
import { within } from "./scenario.mjs";

/** How many bytes may wait for the server; the rest of the flood waits for them. */
const BUFFERED = 1_000_000;

/** Starts a flood and gives, once it runs, how to learn how many events it has sent. */
export async function startFlood(t, server) {
  const worker = new Worker(new URL(import.meta.url), { workerData: server.port });
  t.after(() => worker.terminate());
  const sent = () => within(10_000, "count of the flood", (resolve) => {
    worker.once("message", resolve);
    worker.postMessage("how many?");
  });
  await once(worker, "message");
  return { sent };
}

if (!isMainThread) {
  const socket = new WebSocket(`ws://127.0.0.1:${workerData}/socket.io/?EIO=4&transport=websocket`);
  let sent = 0;
  const flood = () => {
    for (let nth = 0; nth < 1000 && socket.bufferedAmount < BUFFERED; nth++, sent++) socket.send('42["ignored",1]');
    setImmediate(flood);
  };
  parentPort.on("message", () => parentPort.postMessage(sent));
  await once(socket, "open");
  socket.send("40");
  socket.on("message", (packet) => {
    if (!packet.toString().startsWith("40")) return;
    parentPort.postMessage("joined");
    flood();
  });
}
