import type { Estimate, Warning } from "@darkroom/web";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { FormEstimate, estimateText, warningsByField } from "../../src/form/estimate";

const truncated: Warning = { pointer: "/prompt", detail: "41 tokens, 30 are read." };
const weights: Warning = { pointer: "/prompt", detail: "Weights are read literally." };
const seed: Warning = { pointer: "/seed", detail: "Only 32 bits are used." };

test("warningsByField joins the warnings of each field", () => {
  expect(warningsByField([truncated, weights, seed])).toEqual({
    prompt: "41 tokens, 30 are read. Weights are read literally.",
    seed: "Only 32 bits are used.",
  });
});

test.each([
  [{}, ""],
  [{ eta: { p50_seconds: 12.2 }, price: null, currency: null }, "About 12 s"],
  [{ eta: null, price: 0.000312, currency: "USD" }, "0.00031 USD"],
  [{ eta: { p50_seconds: 4 }, price: 1.25, currency: "EUR" }, "About 4.0 s · 1.3 EUR"],
])("estimateText of %j is %j", (estimate, text) => {
  expect(estimateText(estimate)).toBe(text);
});

describe("FormEstimate", () => {
  beforeEach(() => { vi.useFakeTimers(); });
  afterEach(() => { vi.useRealTimers(); });

  test("requests the estimate when typing pauses", async () => {
    const requested: string[] = [];
    const shown: (Estimate | null)[] = [];
    const form = new FormEstimate(
      (body) => {
        requested.push(body);
        return Promise.resolve({ warnings: [truncated] });
      },
      (estimate) => shown.push(estimate),
    );
    for (const body of ["a", "ab", "abc", "abc"]) form.onEdit(body);
    await vi.runAllTimersAsync();
    expect([requested, shown]).toEqual([["abc"], [{ warnings: [truncated] }]]);
  });

  test("drops the response to an earlier body, and shows nothing for invalid fields", async () => {
    const shown: (Estimate | null)[] = [];
    let respond: (estimate: Estimate) => void = () => undefined;
    const form = new FormEstimate(() => new Promise((resolve) => { respond = resolve; }), (estimate) => shown.push(estimate));
    form.onEdit("long");
    await vi.runAllTimersAsync();
    form.onEdit(null);
    respond({ warnings: [truncated] });
    await vi.runAllTimersAsync();
    expect(shown).toEqual([null]);
  });

  test("shows nothing if the request fails", async () => {
    const shown: (Estimate | null)[] = [];
    const form = new FormEstimate(() => Promise.reject(new Error("unreachable")), (estimate) => shown.push(estimate));
    form.onEdit("long");
    await vi.runAllTimersAsync();
    expect(shown).toEqual([null]);
  });
});
