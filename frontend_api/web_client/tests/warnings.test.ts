import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { FieldErrors } from "../src/catalog";
import { FormWarnings, type Warning, warningsByField } from "../src/warnings";

const cut: Warning = { code: "prompt_truncated", pointer: "/prompt", detail: "41 tokens, 30 are read." };
const weights: Warning = { code: "prompt_weights_ignored", pointer: "/prompt", detail: "Weights are read literally." };
const seed: Warning = { code: "seed_folded", pointer: "/seed", detail: "Only 32 bits are used." };

test("warnings are placed at their fields", () => {
  expect(warningsByField([cut, weights, seed])).toEqual({
    prompt: "41 tokens, 30 are read. Weights are read literally.",
    seed: "Only 32 bits are used.",
  });
});

describe("a form", () => {
  beforeEach(() => { vi.useFakeTimers(); });
  afterEach(() => { vi.useRealTimers(); });

  test("asks once typing pauses and shows the answer", async () => {
    const asked: string[] = [];
    const shown: FieldErrors[] = [];
    const warnings = new FormWarnings(
      (body) => {
        asked.push(body);
        return Promise.resolve([cut]);
      },
      (fields) => shown.push(fields),
    );
    for (const body of ["a", "ab", "abc", "abc"]) warnings.edited(body);
    await vi.runAllTimersAsync();
    expect([asked, shown]).toEqual([["abc"], [{ prompt: cut.detail }]]);
  });

  test("shows no answer to an earlier text and none while the fields make no request", async () => {
    const shown: FieldErrors[] = [];
    let answer: (warnings: Warning[]) => void = () => undefined;
    const warnings = new FormWarnings(() => new Promise((resolve) => { answer = resolve; }), (fields) => shown.push(fields));
    warnings.edited("long");
    await vi.runAllTimersAsync();
    warnings.edited(null);
    answer([cut]);
    await vi.runAllTimersAsync();
    expect(shown).toEqual([{}]);
  });

  test("shows nothing when the API does not answer", async () => {
    const shown: FieldErrors[] = [];
    const warnings = new FormWarnings(() => Promise.reject(new Error("away")), (fields) => shown.push(fields));
    warnings.edited("long");
    await vi.runAllTimersAsync();
    expect(shown).toEqual([{}]);
  });
});
