import { describe, expect, test } from "vitest";

import { sizesOf } from "../../src/form/sizes";
import { DEMO, SCHNELL } from "../models";

describe("sizesOf", () => {
  test("returns each size once, named by the nearest aspect ratio", () => {
    expect(sizesOf(DEMO)).toEqual([
      { name: "1:1", width: 256, height: 256 },
      { name: "16:9", width: 320, height: 192 },
      { name: "9:16", width: 192, height: 320 },
    ]);
  });

  test.each([
    [{ width: 1024, height: 1024 }, "1024x1024 1152x896 1280x832 1344x768 896x1152 832x1280 768x1344"],
    [{ width: 1216, height: 832 }, "1024x1024 1152x896 1216x832 1344x768 896x1152 832x1216 768x1344"],
  ])("returns common training sizes for the default %j", (size, expected) => {
    const sizes = sizesOf({ ...SCHNELL, defaults: { ...SCHNELL.defaults, ...size } });
    expect(sizes.map(({ width, height }) => `${width}x${height}`).join(" ")).toBe(expected);
  });

  test("returns multiples within limits that are no multiples themselves", () => {
    const limits = { ...SCHNELL.limits, min_side: 900, max_side: 1100 };
    const sides = sizesOf({ ...SCHNELL, limits }).flatMap(({ width, height }) => [width, height]);
    expect(sides.every((side) => side % 64 === 0 && side >= 900 && side <= 1100)).toBe(true);
  });

  test("returns only a square for a model with one size", () => {
    const fixed = { ...DEMO, limits: { ...DEMO.limits, min_side: 256, max_side: 256 } };
    expect(sizesOf(fixed).map((size) => size.name)).toEqual(["1:1"]);
  });
});
