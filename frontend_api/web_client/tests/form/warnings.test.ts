import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import type { FieldErrors } from "../../src/catalog";
import { FormWarnings, type Warning, warningsByField } from "../../src/form/warnings";

const truncated: Warning = { pointer: "/prompt", detail: "41 tokens, 30 are read." };
const weights: Warning = { pointer: "/prompt", detail: "Weights are read literally." };
const seed: Warning = { pointer: "/seed", detail: "Only 32 bits are used." };

test("warningsByField joins the warnings of each field", () => {
  expect(warningsByField([truncated, weights, seed])).toEqual({
    prompt: "41 tokens, 30 are read. Weights are read literally.",
    seed: "Only 32 bits are used.",
  });
});

describe("FormWarnings", () => {
  beforeEach(() => { vi.useFakeTimers(); });
  afterEach(() => { vi.useRealTimers(); });

  test("requests the warnings when typing pauses", async () => {
    const requested: string[] = [];
    const shown: FieldErrors[] = [];
    const warnings = new FormWarnings(
      (body) => {
        requested.push(body);
        return Promise.resolve([truncated]);
      },
      (fields) => shown.push(fields),
    );
    for (const body of ["a", "ab", "abc", "abc"]) warnings.onEdit(body);
    await vi.runAllTimersAsync();
    expect([requested, shown]).toEqual([["abc"], [{ prompt: truncated.detail }]]);
  });

  test("drops the response to an earlier body, and shows nothing for invalid fields", async () => {
    const shown: FieldErrors[] = [];
    let respond: (warnings: Warning[]) => void = () => undefined;
    const warnings = new FormWarnings(() => new Promise((resolve) => { respond = resolve; }), (fields) => shown.push(fields));
    warnings.onEdit("long");
    await vi.runAllTimersAsync();
    warnings.onEdit(null);
    respond([truncated]);
    await vi.runAllTimersAsync();
    expect(shown).toEqual([{}]);
  });

  test("shows nothing if the request fails", async () => {
    const shown: FieldErrors[] = [];
    const warnings = new FormWarnings(() => Promise.reject(new Error("unreachable")), (fields) => shown.push(fields));
    warnings.onEdit("long");
    await vi.runAllTimersAsync();
    expect(shown).toEqual([{}]);
  });
});
