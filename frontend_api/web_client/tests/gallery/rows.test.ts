import { expect, test } from "vitest";

import { ratioOf, rowsOf } from "../../src/gallery/rows";
import { taskAt } from "../tasks";

const MEASURES = { width: 1_000, size: 280, columnGap: 20, rowGap: 30 };
const rows = (...ratios: (number | null)[]) => rowsOf(ratios, MEASURES);
const sum = (values: readonly number[]) => values.reduce((total, value) => total + value, 0);

test("full rows fill the list with images of one height", () => {
  const [first, second] = rows(1, 1.5, 0.75, 1, 1, 1);
  expect(first).toMatchObject({ first: 0, end: 3 });
  expect(second).toMatchObject({ first: 3, end: 6 });
  for (const row of [first, second]) expect(sum(row?.widths ?? []) + 2 * MEASURES.columnGap).toBe(MEASURES.width);
  const heights = first?.widths.map((width, index) => (width - 2) / ([1, 1.5, 0.75][index] ?? 1)) ?? [];
  expect(Math.max(...heights) - Math.min(...heights)).toBeLessThan(1);
});

test("the last row is as high as the one before it, and a single one is limited", () => {
  const [full, last] = rows(1, 1, 1, 1);
  expect(last?.imageHeight).toBe(full?.imageHeight);
  expect(rows(1)[0]?.imageHeight).toBe(420);
});

test("a card without images takes one line, and ends the row before it", () => {
  expect(rows(1, null, 1, 1).map(({ first, end, imageHeight }) => [first, end, imageHeight > 0])).toEqual([
    [0, 1, true], [1, 2, false], [2, 4, true],
  ]);
  expect(rows(null)[0]?.widths).toEqual([MEASURES.width]);
});

test("a card is never wider than the list", () => {
  expect(rowsOf([2, 2], { ...MEASURES, width: 350 }).map(({ widths }) => widths)).toEqual([[350], [350]]);
});

test("the ratio of a card is that of its image area, within limits", () => {
  const ratio = (width: number, height: number, num_images = 1) => ratioOf(taskAt(1, { parameters: { width, height, num_images } }));
  expect([ratio(300, 200), ratio(1_000, 100), ratio(100, 1_000)]).toEqual([1.5, 2, 0.75]);
  expect(ratio(200, 100, 2)).toBe(1);
  expect(ratioOf(taskAt(1, { status: "failed" }))).toBeNull();
});
