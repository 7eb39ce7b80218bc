import { expect, test } from "vitest";

import markdown from "../../../../docs/operating/runbook.md?raw";
import { type Row, rowsOf } from "../../src/operator/runbook";

const WRITTEN = `
## When something is stuck

**A task is \`queued\`.** The API could not publish,
or died. Shows it: \`logged it\` and [the map](map.md). Mends it: **waiting**, or [dead letters](#dead-letters).

**Another.** Nothing more.

| what it looks like | why | what mends it |
|---|---|---|
| the worker exits with 1 | its heartbeat is gone | the last line |
| tasks fail as \`dead_lettered\` | a message was given up on | [below](#dead-letters) |

## Dead letters

| what \`list\` shows | why | what mends it |
|---|---|---|
| \`unreadable\` | somebody else publishes | \`purge\` it |
`;

const text = (row: Row | undefined) => row?.map((pieces) => pieces.map((piece) => piece.text).join(""));

test("a row is a paragraph that begins in bold, and what shows and mends it stand by themselves", () => {
  const row = rowsOf(WRITTEN).get("A task is `queued`.");
  expect(text(row)).toEqual([
    "The API could not publish, or died.",
    "Shows it: logged it and the map.",
    "Mends it: waiting, or dead letters.",
  ]);
  expect(row?.[1]?.map(({ kind }) => kind)).toEqual(["text", "code", "text", "text", "text"]);
  expect(row?.[2]).toContainEqual({ kind: "strong", text: "waiting" });
  expect(row?.[2]).toContainEqual({ kind: "link", text: "dead letters", anchor: "#dead-letters" });
});

test("a row is a line of a table, too", () => {
  expect(text(rowsOf(WRITTEN).get("the worker exits with 1"))).toEqual(["its heartbeat is gone", "the last line"]);
});

test("where another section mends it, that section's table is told", () => {
  expect(text(rowsOf(WRITTEN).get("tasks fail as `dead_lettered`"))).toEqual([
    "a message was given up on",
    "unreadable: somebody else publishes. Mends it: purge it.",
  ]);
});

test("the runbook itself has rows for conditions and for failures, and says something in each", () => {
  const rows = rowsOf(markdown);
  for (const name of [
    "Workers do not come, or do not go.",
    "Tasks stay `queued`, `enqueued_at` is set, workers are idle.",
    "tasks fail as `dead_lettered`, or `darkroom dead-letters list` shows something",
    "A task failed as `attempts_exhausted`.",
    "Images are begun again though checkpoints were there.",
    "`engine_out_of_memory`.",
  ]) {
    expect(text(rows.get(name))?.join(" ").length, name).toBeGreaterThan(80);
  }
});
