// Reads `name=value` arguments into one object of strings.
export function readOptions() {
  return Object.fromEntries(process.argv.slice(2).map((argument) => argument.split(/=(.*)/s).slice(0, 2)));
}

/** Writes one report, a JSON line. */
export function report(event, fields = {}) {
  process.stdout.write(`${JSON.stringify({ event, ...fields })}\n`);
}

/** Calls `shutdown` for a line of that name on standard input and ends the process with it. */
export function serveStandardInput(shutdown) {
  process.stdin.on("data", (line) => line.toString().trim() === "shutdown" && shutdown());
  process.stdin.on("end", () => process.exit());
}

/** The options of Engine.IO that both servers take; absent ones keep their defaults. */
export function engineOptions(given) {
  const number = (name) => (name in given ? Number(given[name]) : undefined);
  const options = {
    pingInterval: number("ping_interval"),
    pingTimeout: number("ping_timeout"),
    upgradeTimeout: number("upgrade_timeout"),
    maxHttpBufferSize: number("max_payload"),
    transports: given.transports?.split(","),
    allowUpgrades: given.allow_upgrades ? given.allow_upgrades === "true" : undefined,
    cookie: given.cookie ? { name: given.cookie } : undefined,
    cors: given.cors
      ? { origin: given.cors === "*" ? "*" : given.cors.split(","), credentials: given.cors !== "*" }
      : undefined,
    initialPacket: given.initial,
    allowRequest: (request, decide) =>
      request._query?.deny !== undefined || /[?&]deny/.test(request.url) ? decide("no entry", false) : decide(null, true),
  };
  for (const name of Object.keys(options)) if (options[name] === undefined) delete options[name];
  return options;
}
