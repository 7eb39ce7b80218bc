import { expect, test } from "vitest";

import { type Edit, EditHistory, brushSizes, movedPoint, nextBrushSize } from "../../src/mask/edits";
import { selectPixels, selectedShare, shareText } from "../../src/mask/mask_pixels";

const FILL: Edit = { kind: "fill" };
const CLEAR: Edit = { kind: "clear" };
const INVERT: Edit = { kind: "invert" };

test("undone edits are redone until another edit is added", () => {
  const history = new EditHistory();
  expect([history.canUndo, history.canRedo]).toEqual([false, false]);
  history.add(FILL);
  history.add(CLEAR);
  history.undo();
  expect([history.edits, history.canUndo, history.canRedo]).toEqual([[FILL], true, true]);
  history.redo();
  history.redo();
  expect(history.edits).toEqual([FILL, CLEAR]);
  for (let count = 0; count < 3; count += 1) history.undo();
  expect([history.edits, history.canUndo]).toEqual([[], false]);
  history.add(INVERT);
  expect([history.edits, history.canRedo]).toEqual([[INVERT], false]);
});

test.each([
  [{ width: 256, height: 128 }, { smallest: 2, largest: 128, usual: 26 }],
  [{ width: 1, height: 1 }, { smallest: 1, largest: 2, usual: 1 }],
])("a picture of %o has brushes of %o", (size, sizes) => {
  expect(brushSizes(size)).toEqual(sizes);
});

test("the keys for the size change the brush by a quarter or one pixel, within its sizes", () => {
  const sizes = { smallest: 2, largest: 100, usual: 20 };
  expect([nextBrushSize(20, 1, sizes), nextBrushSize(20, -1, sizes)]).toEqual([25, 16]);
  expect([nextBrushSize(3, 1, sizes), nextBrushSize(3, -1, sizes)]).toEqual([4, 2]);
  expect([nextBrushSize(99, 1, sizes), nextBrushSize(2, -1, sizes)]).toEqual([100, 2]);
});

test("arrow keys move a point within the picture", () => {
  const size = { width: 100, height: 50 };
  expect(movedPoint({ x: 10, y: 10 }, "ArrowRight", 5, size)).toEqual({ x: 15, y: 10 });
  expect(movedPoint({ x: 10, y: 10 }, "ArrowUp", 25, size)).toEqual({ x: 10, y: 0 });
  expect(movedPoint({ x: 10, y: 48 }, "ArrowDown", 5, size)).toEqual({ x: 10, y: 50 });
  expect(movedPoint({ x: 10, y: 10 }, "Enter", 5, size)).toBeNull();
});

const WHITE = [255, 255, 255, 255];
const BLACK = [0, 0, 0, 255];

/** Whether each pixel is selected. */
function selectionOf(...pixels: readonly (readonly number[])[]): boolean[] {
  const rgba = new Uint8ClampedArray(pixels.flat());
  selectPixels(rgba, [255, 64, 48]);
  return pixels.map((_, index) => rgba[4 * index + 3] === 255 && rgba[4 * index] === 255);
}

test("an opaque mask selects its white parts, gray ones from the middle on", () => {
  expect(selectionOf(WHITE, BLACK, [128, 128, 128, 255], [127, 127, 127, 255])).toEqual([true, false, true, false]);
});

test("a mask with transparent parts selects these, whatever their color", () => {
  expect(selectionOf(WHITE, [255, 255, 255, 0], [0, 0, 0, 127], [0, 0, 0, 128])).toEqual([false, true, true, false]);
});

test("the selected share is described", () => {
  const share = selectedShare(new Uint8ClampedArray([...WHITE, 255, 255, 255, 127, 0, 0, 0, 0, ...BLACK]));
  expect(share).toBe(0.5);
  expect([0, 0.001, share, 0.999, 1].map(shareText)).toEqual([
    "Nothing is painted.",
    "Less than 1 % of the picture is painted.",
    "50 % of the picture is painted.",
    "99 % of the picture is painted.",
    "The whole picture is painted.",
  ]);
});
