// The official Engine.IO server, commanded by messages; its twin is `src/bin/engine_server.rs`.
//
// Arguments: ping_interval, ping_timeout, upgrade_timeout (ms), max_payload (bytes), path, transports, allow_upgrades,
// cookie (name), cors (origins, `*`), initial (packet). A query `deny` is refused. Reports are JSON lines on standard output.
import { createServer } from "node:http";
import { Server } from "engine.io";
import { engineOptions, readOptions, report, serveStandardInput } from "./options.mjs";

const given = readOptions();
const http = createServer((_, response) => response.writeHead(404).end());
const engine = new Server(engineOptions(given));
engine.attach(http, { path: given.path ?? "/engine.io/" });

engine.on("initial_headers", (headers) => {
  headers["x-first"] = "1";
  headers["set-cookie"] = ["a=1", "b=2"].concat(headers["set-cookie"] ?? []);
});
engine.on("headers", (headers) => (headers["x-every"] = "1"));
engine.on("connection_error", ({ code, message }) => report("error", { code, message }));
engine.on("connection", (connection) => {
  const sid = connection.id;
  report("open", { sid });
  connection.on("upgrade", () => report("upgrade", { sid }));
  connection.on("close", (reason, error) => report("close", { sid, reason, detail: error?.description ?? error?.message }));
  connection.on("message", (message) => {
    if (typeof message !== "string") return connection.send(message);
    const [command, argument] = message.split(/ (.*)/s);
    switch (command) {
      case "close":
        return connection.close();
      case "close-now":
        return connection.close(true);
      case "bye":
        for (let nth = 0; nth < 3; nth++) connection.send(`bye ${nth}`);
        return connection.close();
      case "burst":
        for (let nth = 0; nth < Number(argument); nth++) connection.send(`burst ${nth}`);
        return;
      case "who":
        return connection.send(JSON.stringify({ transport: connection.transport.name, protocol: connection.protocol }));
      case "count":
        return connection.send(String(engine.clientsCount));
      case "note":
        return report("note", { note: argument });
      case "target":
        return connection.send(connection.request.url);
      case "header":
        return connection.send(connection.request.headers[argument] ?? "");
      case "address":
        return connection.send(connection.remoteAddress);
      default:
        return connection.send(message);
    }
  });
});
http.listen(0, "127.0.0.1", () => console.log(`listening on http://127.0.0.1:${http.address().port}`));
serveStandardInput(() => engine.close());
