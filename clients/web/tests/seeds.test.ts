import { describe, expect, test } from "vitest";

import { exactSeed } from "../src/seeds.js";

describe("exactSeed", () => {
  test("returns the digits up to 2^53 - 1", () => {
    expect(exactSeed(4_294_967_295)).toBe("4294967295");
    expect(exactSeed(Number.MAX_SAFE_INTEGER)).toBe("9007199254740991");
  });

  test("returns null for larger numbers and other types", () => {
    expect(exactSeed(2 ** 53)).toBeNull();
    expect(exactSeed("7")).toBeNull();
  });
});
