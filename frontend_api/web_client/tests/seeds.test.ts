import { describe, expect, test } from "vitest";

import { exactSeed, jsonWithSeed, parseSeed, parseWithExactSeeds } from "../src/seeds";

describe("parseSeed", () => {
  test.each([
    ["42", "42"],
    [" 1 234 567 ", "1234567"],
    ["007", "7"],
    ["9223372036854775807", "9223372036854775807"],
  ])("parses %j as %s", (typed, digits) => {
    expect(parseSeed(typed)).toBe(digits);
  });

  test.each(["", "-1", "abc", "1e5", "0x10", "9223372036854775808", "99999999999999999999"])("rejects %j", (typed) => {
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

describe("seeds in JSON", () => {
  test("are parsed exactly beyond 2^53", () => {
    const parsed = parseWithExactSeeds('{"parameters": {"seed": 9223372036854775807, "steps": 20}, "images": [{"seed":1}]}');
    expect(parsed).toEqual({ parameters: { seed: "9223372036854775807", steps: 20 }, images: [{ seed: "1" }] });
  });

  test("are not changed inside strings", () => {
    const document = { prompt: 'say "seed": 12 twice', seed: 5 };
    expect(parseWithExactSeeds(JSON.stringify(document))).toEqual({ prompt: document.prompt, seed: "5" });
  });

  test("are serialized as exact numbers", () => {
    expect(jsonWithSeed({ prompt: "a" }, "9223372036854775807")).toBe('{"prompt":"a","seed":9223372036854775807}');
    expect(jsonWithSeed({}, "7")).toBe('{"seed":7}');
    expect(jsonWithSeed({ prompt: "a" }, null)).toBe('{"prompt":"a"}');
  });
});
