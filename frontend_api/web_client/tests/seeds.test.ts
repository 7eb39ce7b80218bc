import { describe, expect, test } from "vitest";

import { exactSeed, parseSeed } from "../src/seeds";

describe("parseSeed", () => {
  test.each([
    ["42", "42"],
    [" 1 234 567 ", "1234567"],
    ["1,234", "1234"],
    ["1,234,567", "1234567"],
    ["1.500", "1500"],
    ["007", "7"],
    ["9223372036854775807", "9223372036854775807"],
  ])("parses %j as %s", (typed, digits) => {
    expect(parseSeed(typed)).toBe(digits);
  });

  test.each(["", "-1", "1.5", "1,5", "1,234.567", "12 34", "abc", "1e5", "0x10", "9223372036854775808", "99999999999999999999"])("rejects %j", (typed) => {
    expect(parseSeed(typed)).toBeNull();
  });
});

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
