// The failures of the known pattern: the official server in the configuration of the how-to shows them, ours does not.
import assert from "node:assert/strict";
import { scenario } from "../support/scenario.mjs";
import { official, oursAlone } from "../support/target.mjs";
import { FINDINGS, measure } from "./findings.mjs";

for (const finding of FINDINGS) {
  const { name, title } = finding;
  scenario(`${name}, the official server: ${title}`, async (t) => {
    const { wrong, saw } = await measure(t, finding, true);
    t.diagnostic(saw);
    assert.ok(wrong, `it did not happen: ${saw}`);
  });

  scenario(`${name}, ours: it does not happen that ${title}`, oursAlone("is asked above"), async (t) => {
    const { wrong, saw } = await measure(t, finding, false);
    t.diagnostic(saw);
    assert.ok(!wrong, saw);
  });
}
