import { expect, test } from "vitest";

import { SubmitIntent } from "../../src/form/submit_intent";

function countingIntent(): SubmitIntent {
  let count = 0;
  return new SubmitIntent(() => String(++count));
}

test("keyFor returns the same key for the same body only", () => {
  const intent = countingIntent();
  expect([intent.keyFor("a"), intent.keyFor("a"), intent.keyFor("b")]).toEqual(["1", "1", "2"]);
});

test("keyFor returns a new key for the same body after settle", () => {
  const intent = countingIntent();
  const first = intent.keyFor("a");
  intent.settle();
  expect(intent.keyFor("a")).not.toBe(first);
});
