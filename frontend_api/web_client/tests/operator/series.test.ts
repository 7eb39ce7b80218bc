import { expect, test } from "vitest";

import { KEPT_MILLISECONDS, type Sample, describeSamples, linePath, withSample } from "../../src/operator/series";

const MINUTE = 60_000;
const every = (milliseconds: number, values: readonly number[]): Sample[] =>
  values.map((value, index) => ({ at: index * milliseconds, value }));

test("withSample drops samples older than ten minutes", () => {
  const samples = withSample(every(MINUTE, [1, 2, 3]), { at: KEPT_MILLISECONDS + MINUTE, value: 4 });
  expect(samples.map(({ value }) => value)).toEqual([3, 4]);
});

test("linePath draws the latest sample at the right edge and the highest at the top", () => {
  expect(linePath(every(10_000, [0, 2, 4, 4, 4, 4, 1]), 60, 8)).toBe(
    "M0.0 8.0L10.0 4.0L20.0 0.0L30.0 0.0L40.0 0.0L50.0 0.0L60.0 6.0",
  );
});

test("linePath does not fill the width with the first seconds", () => {
  expect(linePath(every(6_000, [1, 1]), 100, 10)).toBe("M90.0 0.0L100.0 0.0");
});

test("linePath does not connect samples across a gap", () => {
  const samples: Sample[] = [...every(3_000, [1, 1]), { at: 60_000, value: 1 }];
  expect(linePath(samples, 100, 10)).toBe("M0.0 0.0L5.0 0.0M100.0 0.0");
});

test("linePath draws zeros at the bottom", () => {
  expect(linePath(every(15_000, [0, 0, 0, 0, 0]), 100, 10)).toBe("M0.0 10.0L25.0 10.0L50.0 10.0L75.0 10.0L100.0 10.0");
  expect(linePath([], 100, 10)).toBe("");
});

test.each([
  [every(MINUTE, [3, 9, 5]), "between 3 and 9 during the last 2 minutes"],
  [every(3_000, [3, 9]), "between 3 and 9 during the last minute"],
  [every(3_000, [3]), "no history yet"],
])("describeSamples describes %j", (samples, words) => {
  expect(describeSamples(samples, String)).toBe(words);
});
