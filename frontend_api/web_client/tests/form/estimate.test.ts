import type { Estimate, Warning } from "@darkroom/web";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";

import { FormEstimate, estimateText, promptTokens, warningsByField } from "../../src/form/estimate";

const truncated: Warning = { code: "prompt_truncated", pointer: "/prompt", detail: "The prompt has 41 tokens and the model reads 30.", tokens: 41 };
const weights: Warning = { code: "prompt_weights_ignored", pointer: "/prompt", detail: "Weights are read literally." };
const seed: Warning = { code: "seed_above_32_bits", pointer: "/seed", detail: "Only 32 bits are used." };

test("warningsByField joins the warnings of each field", () => {
  expect(warningsByField([truncated, weights, seed])).toEqual({
    prompt: "The prompt has 41 tokens and the model reads 30. Weights are read literally.",
    seed: "Only 32 bits are used.",
  });
});

test("promptTokens is the number of the warning's field, of the prompt only", () => {
  expect(promptTokens([weights, { ...truncated, detail: "Too long." }])).toBe(41);
  expect(promptTokens([{ ...truncated, pointer: "/negative_prompt" }, { ...weights, tokens: null, detail: "3 tokens" }])).toBeNull();
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
  let page: EventTarget & { hidden?: boolean };

  beforeEach(() => {
    vi.useFakeTimers();
    page = new EventTarget();
    vi.stubGlobal("document", page);
  });
  afterEach(() => {
    vi.useRealTimers();
    vi.unstubAllGlobals();
  });

  test("many changes of the queue are one new request", async () => {
    const request = vi.fn(() => Promise.resolve<Estimate>({ eta: { p50_seconds: request.mock.calls.length } }));
    const shown: (Estimate | null)[] = [];
    const form = new FormEstimate(request, (estimate) => shown.push(estimate));
    form.setUnfinished(7);
    await vi.runAllTimersAsync();
    expect(request).not.toHaveBeenCalled();
    form.onEdit("a");
    form.setUnfinished(8);
    await vi.runAllTimersAsync();
    for (let change = 0; change < 12; change += 1) {
      form.setUnfinished(change);
      await vi.advanceTimersByTimeAsync(100);
    }
    await vi.runAllTimersAsync();
    expect(shown).toEqual([{ eta: { p50_seconds: 1 } }, { eta: { p50_seconds: 2 } }]);
    form.setUnfinished(11);
    await vi.runAllTimersAsync();
    form.onEdit(null);
    form.setUnfinished(9);
    await vi.runAllTimersAsync();
    expect(request).toHaveBeenCalledTimes(2);
  });

  test("a hidden page requests the estimate once when it is visible", async () => {
    const request = vi.fn(() => Promise.resolve<Estimate>({}));
    const form = new FormEstimate(request, () => undefined);
    form.onEdit("a");
    await vi.runAllTimersAsync();
    page.hidden = true;
    for (let change = 0; change < 3; change += 1) {
      form.setUnfinished(change + 1);
      await vi.runAllTimersAsync();
    }
    expect(request).toHaveBeenCalledTimes(1);
    page.hidden = false;
    page.dispatchEvent(new Event("visibilitychange"));
    await vi.runAllTimersAsync();
    expect(request).toHaveBeenCalledTimes(2);
  });

  test("a slow earlier response does not replace a later one", async () => {
    const responses: ((estimate: Estimate) => void)[] = [];
    const shown: (Estimate | null)[] = [];
    const form = new FormEstimate(() => new Promise((resolve) => { responses.push(resolve); }), (estimate) => shown.push(estimate));
    form.onEdit("a");
    await vi.runAllTimersAsync();
    form.setUnfinished(10);
    await vi.runAllTimersAsync();
    responses[1]?.({ price: 2 });
    responses[0]?.({ price: 1 });
    await vi.runAllTimersAsync();
    expect(shown).toEqual([{ price: 2 }]);
  });

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
