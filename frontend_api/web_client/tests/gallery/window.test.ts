import { expect, test } from "vitest";

import { joined, rowsBetween, topsOf } from "../../src/gallery/window";

const tops = topsOf([100, 100, 50, 100], 10);

test("rows begin after the rows above them and their gaps", () => {
  expect(tops).toEqual([0, 110, 220, 280, 390]);
});

test("a row that is partly visible is included", () => {
  expect(rowsBetween(tops, 0, 109)).toEqual({ first: 0, end: 1 });
  expect(rowsBetween(tops, 99, 220)).toEqual({ first: 0, end: 3 });
  expect(rowsBetween(tops, 230, 279)).toEqual({ first: 2, end: 3 });
});

test("positions outside the list lead to its nearest row", () => {
  expect(rowsBetween(tops, -500, -100)).toEqual({ first: 0, end: 1 });
  expect(rowsBetween(tops, 5_000, 6_000)).toEqual({ first: 3, end: 4 });
});

test("ranges that touch are joined, and none leaves the list", () => {
  const ranges = [{ first: 4, end: 6 }, { first: 0, end: 1 }, { first: 6, end: 9 }, { first: 8, end: 12 }, { first: -1, end: 2 }];
  expect(joined(ranges, 10)).toEqual([{ first: 0, end: 2 }, { first: 4, end: 10 }]);
  expect(joined([{ first: -1, end: 0 }, { first: 2, end: 3 }], 2)).toEqual([]);
});
