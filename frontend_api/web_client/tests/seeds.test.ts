import { describe, expect, test } from "vitest";

import { parseSeed } from "../src/seeds";

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
