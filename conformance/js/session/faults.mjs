// Prints what the official server in the configuration of the how-to, and ours, make of the session: `npm run faults`.
// Ours is asked if SESSION_SERVER names it.
import { FINDINGS, measure, table } from "./findings.mjs";

const servers = { "official server": true, ...(process.env.SESSION_SERVER && { ours: false }) };
const columns = Object.fromEntries(Object.keys(servers).map((name) => [name, new Map()]));
for (const finding of FINDINGS) {
  for (const [name, node] of Object.entries(servers)) columns[name].set(finding.name, await once(finding, node));
}
console.log(table(columns));

/** Measures as a scenario does, and clears away after it. */
async function once(finding, node) {
  const clearing = [];
  try {
    return await measure({ after: (clear) => clearing.push(clear) }, finding, node);
  } catch (error) {
    return { wrong: true, saw: error.message };
  } finally {
    for (const clear of clearing.reverse()) await clear();
  }
}
