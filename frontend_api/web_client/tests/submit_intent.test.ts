import { expect, test } from "vitest";

import { SubmitIntent, randomKey } from "../src/submit_intent";

function counting(): SubmitIntent {
  let count = 0;
  return new SubmitIntent(() => String(++count));
}

test("the same body tried again keeps its key", () => {
  const intent = counting();
  expect([intent.keyFor("a"), intent.keyFor("a")]).toEqual(["1", "1"]);
});

test("another body is another intent", () => {
  const intent = counting();
  expect([intent.keyFor("a"), intent.keyFor("b")]).toEqual(["1", "2"]);
});

test("once settled, the same body means one more", () => {
  const intent = counting();
  const first = intent.keyFor("a");
  intent.settled();
  expect(intent.keyFor("a")).not.toBe(first);
});

test("keys are version 4 UUIDs", () => {
  expect(randomKey()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(randomKey()).not.toBe(randomKey());
});
