import { expect, test } from "vitest";

import { KEPT_MILLISECONDS, type Sample, described, joinedBy, outline } from "../../src/operator/series";

const MINUTE = 60_000;
const every = (milliseconds: number, values: readonly number[]): Sample[] =>
  values.map((value, index) => ({ at: index * milliseconds, value }));

test("what is older than ten minutes is forgotten", () => {
  const samples = joinedBy(every(MINUTE, [1, 2, 3]), { at: KEPT_MILLISECONDS + MINUTE, value: 4 });
  expect(samples.map(({ value }) => value)).toEqual([3, 4]);
});

test("the latest sample stands at the right edge, the highest at the top", () => {
  expect(outline(every(10_000, [0, 2, 4, 4, 4, 4, 1]), 60, 8)).toBe(
    "M0.0 8.0L10.0 4.0L20.0 0.0L30.0 0.0L40.0 0.0L50.0 0.0L60.0 6.0",
  );
});

test("the first seconds do not fill the whole box", () => {
  expect(outline(every(6_000, [1, 1]), 100, 10)).toBe("M90.0 0.0L100.0 0.0");
});

test("while nobody asked the line is broken", () => {
  const samples: Sample[] = [...every(3_000, [1, 1]), { at: 60_000, value: 1 }];
  expect(outline(samples, 100, 10)).toBe("M0.0 0.0L5.0 0.0M100.0 0.0");
});

test("a queue that was always empty lies at the foot", () => {
  expect(outline(every(15_000, [0, 0, 0, 0, 0]), 100, 10)).toBe("M0.0 10.0L25.0 10.0L50.0 10.0L75.0 10.0L100.0 10.0");
  expect(outline([], 100, 10)).toBe("");
});

test.each([
  [every(MINUTE, [3, 9, 5]), "Between 3 and 9 over the last 2 minutes"],
  [every(3_000, [3, 9]), "Between 3 and 9 over the last minute"],
  [every(3_000, [3]), "Nothing to compare with yet"],
])("%j is described", (samples, words) => {
  expect(described(samples, String)).toBe(words);
});
