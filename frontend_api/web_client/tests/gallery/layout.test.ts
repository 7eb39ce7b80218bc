import { expect, test } from "vitest";

import { Layout } from "../../src/gallery/layout";
import { taskAt } from "../tasks";

/** Square images of 300 pixels in cards with borders of a pixel, three in a row. */
const MEASURES = { width: 946, size: 300, columnGap: 20, rowGap: 10 };
const tasks = (count: number) => Array.from({ length: count }, (_, index) => taskAt(index, { parameters: { width: 256, height: 256, num_images: 1 } }));

/** A list of so many tasks whose cards have 100 pixels of text, and `heights` of some of them in the document. */
function layoutOf(count: number, heights: Readonly<Record<string, number>> = {}): Layout {
  const layout = new Layout();
  layout.arrange(tasks(count), MEASURES);
  layout.recordHeights([{ first: 0, end: 2 }], () => 400);
  layout.recordHeights([{ first: 0, end: Infinity }], (id) => heights[id]);
  return layout;
}

const summary = (layout: Layout, top: number, bottom: number, around: string | null = null) =>
  layout.itemsOf(layout.rangesFor(top, bottom, around)).map((item) => ("height" in item ? item.height : item.key.replace("task-", "")));

test("rows that are not shown have the usual height", () => {
  expect(layoutOf(3_000).topOf("task-2999")).toBe(999 * 410);
});

test("lines of text have a usual height of their own", () => {
  const failed = taskAt(0, { status: "failed", id: "failed" });
  const layout = layoutOf(30);
  layout.arrange([failed, { ...failed, id: "other" }, ...tasks(30)], MEASURES);
  expect(layout.recordHeights([{ first: 0, end: 1 }], () => 60)).toBe(true);
  expect(layout.topOf("task-29")).toBe(2 * 70 + 9 * 410);
});

test("rows that were in the document keep their heights", () => {
  const layout = layoutOf(30, { "task-3": 450, "task-9": 500 });
  expect(layout.topOf("task-6")).toBe(2 * 410 + 50);
  expect(layout.topOf("task-12")).toBe(4 * 410 + 150);
});

test("a known height belongs to a card, also in another row", () => {
  const layout = layoutOf(30, { "task-3": 450 });
  layout.arrange(tasks(30).slice(1), MEASURES);
  // The cards 3 to 5 are now in two rows.
  expect(layout.topOf("task-7")).toBe(2 * 410 + 100);
});

test("other measures invalidate the heights", () => {
  const layout = layoutOf(30);
  layout.arrange(tasks(30), { ...MEASURES, width: 704 });
  expect(layout.recordHeights([{ first: 0, end: 1 }], () => 470)).toBe(true);
  expect(layout.recordHeights([{ first: 0, end: 1 }], () => 470)).toBe(false);
  // Two images of 340 pixels in a row.
  expect(layout.topOf("task-2")).toBe(480);
});

test("only the rows near a position, the first and the last one are in the document", () => {
  expect(summary(layoutOf(3_000), 100_000, 100_300)).toEqual([
    "0", "1", "2", 242 * 410 - 10, "729", "730", "731", "732", "733", "734", 754 * 410 - 10, "2997", "2998", "2999",
  ]);
});

test("the rows around the focused card are in the document", () => {
  expect(summary(layoutOf(3_000), 0, 0, "task-300")).toEqual([
    "0", "1", "2", 98 * 410 - 10, ...["297", "298", "299", "300", "301", "302", "303", "304", "305"], 897 * 410 - 10, "2997", "2998", "2999",
  ]);
  expect(summary(layoutOf(3_000), 0, 0, "deleted")).toHaveLength(7);
});

test("a short list is in the document as a whole, and an empty one has no rows", () => {
  expect(summary(layoutOf(4), 0, 300)).toEqual(["0", "1", "2", "3"]);
  expect(summary(layoutOf(0), 0, 300)).toEqual([]);
});

test("cards know their position in the whole list", () => {
  expect(layoutOf(3_000).itemsOf([{ first: 999, end: 1_000 }])[1]).toMatchObject({ key: "task-2997", position: 2_998 });
});
