import { expect, test } from "vitest";

import markdown from "../../../../docs/operating/runbook.md?raw";
import { type Entry, entriesOf } from "../../src/operator/runbook";

const WRITTEN = `
## Queue

### Tasks without a confirmation

**Symptom:** A task is \`queued\`.

**Diagnosis:** The API could not publish it,
or exited. See [the map](map.md).

**Fix:** Wait, or see [dead letters](#dead-letters).

### \`dead_lettered\`

**Diagnosis:** By reason.

- \`unreadable\`: another program
  publishes.
- many deliveries

## Dead letters

Not an entry.
`;

const text = (entry: Entry | undefined) => entry?.map((pieces) => pieces.map((piece) => piece.text).join(""));

test("entriesOf returns the paragraphs below a heading of the third level", () => {
  const entry = entriesOf(WRITTEN).get("Tasks without a confirmation");
  expect(text(entry)).toEqual([
    "Symptom: A task is queued.",
    "Diagnosis: The API could not publish it, or exited. See the map.",
    "Fix: Wait, or see dead letters.",
  ]);
  expect(entry?.[0]?.map(({ kind }) => kind)).toEqual(["strong", "text", "code", "text"]);
  expect(entry?.[2]).toContainEqual({ kind: "link", text: "dead letters", anchor: "#dead-letters" });
});

test("entriesOf returns each list item as a paragraph", () => {
  expect(text(entriesOf(WRITTEN).get("`dead_lettered`"))).toEqual([
    "Diagnosis: By reason.",
    "• unreadable: another program publishes.",
    "• many deliveries",
  ]);
});

test("each entry of the runbook has a symptom, a diagnosis and a fix", () => {
  const entries = entriesOf(markdown);
  expect(entries.size).toBeGreaterThan(25);
  for (const [heading, entry] of entries) {
    const labels = entry.map(([first]) => first).filter((piece) => piece?.kind === "strong");
    expect(labels.map((piece) => piece?.text), heading).toEqual(["Symptom:", "Diagnosis:", "Fix:"]);
  }
});
