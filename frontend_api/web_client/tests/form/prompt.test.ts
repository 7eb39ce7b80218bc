import { expect, test } from "vitest";

import { countsUpTo } from "../../src/form/image_counts";
import { approximateTokens, promptCountText } from "../../src/form/prompt_counts";
import { distinctPrompts } from "../../src/form/prompt_history";

test("tokens are about the words, digits and signs", () => {
  expect(approximateTokens("a large, red circle no. 12")).toBe(9);
  expect(approximateTokens("  ")).toBe(0);
});

test("the count of a prompt names characters as the API counts them, and the model's limit", () => {
  expect(promptCountText(" 🌅 a ", 30, 2_000)).toBe("3 characters · about 2 of 30 tokens");
  expect(promptCountText("a", null, 2_000)).toBe("1 character · about 1 token");
  expect(promptCountText("", 30, 2_000)).toBe("");
  expect(promptCountText("aaaaaa", 30, 5)).toBe("6 of at most 5 characters · about 1 of 30 tokens");
});

test("the service's number replaces the guess for its prompt, and adapts it for an edited one", () => {
  const counted = { prompt: "دائرة حمراء كبيرة فوق مربع", tokens: 42 };
  expect(promptCountText(`${counted.prompt} `, 30, 2_000, counted)).toBe("26 characters · 42 of 30 tokens");
  expect(promptCountText(`${counted.prompt} أزرق`, 30, 2_000, counted)).toBe("31 characters · about 50 of 30 tokens");
  expect(promptCountText("fox", 30, 2_000, { prompt: "", tokens: 42 })).toBe("3 characters · about 42 of 30 tokens");
});

test("the history has each prompt once, newest first", () => {
  expect(distinctPrompts(["b", "a", "b", " "])).toEqual(["b", "a"]);
});

test("counts have at most eight buttons", () => {
  expect(countsUpTo(4)).toEqual([1, 2, 3, 4]);
  expect(countsUpTo(16)).toEqual([1, 2, 3, 4, 6, 8]);
});
