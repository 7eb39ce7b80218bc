import { describe, expect, test } from "vitest";

import { exactSeed, jsonWithSeed, parsedSeed, parsedWithExactSeeds } from "../src/seeds";

describe("a typed seed", () => {
  test.each([
    ["42", "42"],
    [" 1 234 567 ", "1234567"],
    ["007", "7"],
    ["9223372036854775807", "9223372036854775807"],
  ])("%j is read as %s", (typed, digits) => {
    expect(parsedSeed(typed)).toBe(digits);
  });

  test.each(["", "-1", "abc", "1e5", "0x10", "9223372036854775808", "99999999999999999999"])("%j is none", (typed) => {
    expect(parsedSeed(typed)).toBeNull();
  });
});

describe("a seed from Firestore", () => {
  test("is exact up to 2^53 - 1", () => {
    expect(exactSeed(4_294_967_295)).toBe("4294967295");
    expect(exactSeed(Number.MAX_SAFE_INTEGER)).toBe("9007199254740991");
  });

  test("is unknown beyond, rather than wrong", () => {
    expect(exactSeed(2 ** 53)).toBeNull();
    expect(exactSeed("7")).toBeNull();
  });
});

describe("seeds in JSON", () => {
  test("survive reading, also beyond 2^53", () => {
    const parsed = parsedWithExactSeeds('{"parameters": {"seed": 9223372036854775807, "steps": 20}, "images": [{"seed":1}]}');
    expect(parsed).toEqual({ parameters: { seed: "9223372036854775807", steps: 20 }, images: [{ seed: "1" }] });
  });

  test("are left alone inside strings", () => {
    const told = { prompt: 'say "seed": 12 twice', seed: 5 };
    expect(parsedWithExactSeeds(JSON.stringify(told))).toEqual({ prompt: told.prompt, seed: "5" });
  });

  test("are written as numbers, digit for digit", () => {
    expect(jsonWithSeed({ prompt: "a" }, "9223372036854775807")).toBe('{"prompt":"a","seed":9223372036854775807}');
    expect(jsonWithSeed({}, "7")).toBe('{"seed":7}');
    expect(jsonWithSeed({ prompt: "a" }, null)).toBe('{"prompt":"a"}');
  });
});
