import type { QueueEstimate } from "@darkroom/web";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { QueuePoller, estimateText, nextDelay } from "../src/queue_poller";

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("document", { hidden: false });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test.each<[QueueEstimate, string]>([
  [{ position: 3, seconds: 12.4, served: true }, "3 tasks ahead, about 12 s"],
  [{ position: 0, seconds: 2.04, served: true }, "next in the queue, about 2.0 s"],
  [{ position: 1, seconds: null, served: null }, "1 task ahead"],
  [{ position: null, seconds: null, served: null }, ""],
  [{ position: 3, seconds: null, served: false }, "no worker serves this model"],
])("estimateText of %o is %s", (estimate, text) => {
  expect(estimateText(estimate)).toBe(text);
});

test.each([
  [0, true, 1_500],
  [3, true, 3_000],
  [60, true, 15_000],
  [0, false, 15_000],
  [null, null, 15_000],
])("nextDelay at position %d, served %s, is at most %d ms", (position, served, milliseconds) => {
  const estimate = { position, seconds: null, served };
  expect(nextDelay(estimate, 60_000)).toBe(milliseconds);
  expect(nextDelay(estimate, 1_500)).toBeLessThanOrEqual(3_000);
});

test("QueuePoller polls less often far from the head of the queue, and not after stop", async () => {
  const request = vi.fn(() => Promise.resolve({ position: 9, seconds: null, served: null }));
  const texts: string[] = [];
  const poller = new QueuePoller(request, (text) => texts.push(text));
  poller.start();
  poller.start();
  await vi.advanceTimersByTimeAsync(1_500);
  expect(texts).toEqual(["9 tasks ahead"]);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(request).toHaveBeenCalledTimes(2);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(request).toHaveBeenCalledTimes(2);
  poller.stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(request).toHaveBeenCalledTimes(2);
});

test("QueuePoller drops a response that arrives after stop", async () => {
  let respond: (estimate: QueueEstimate) => void = () => undefined;
  const texts: string[] = [];
  const poller = new QueuePoller(() => new Promise((resolve) => { respond = resolve; }), (text) => texts.push(text));
  poller.start();
  await vi.advanceTimersByTimeAsync(1_500);
  poller.stop();
  respond({ position: 2, seconds: null, served: null });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(texts).toEqual([]);
});

test("QueuePoller shows nothing after an error, and polls again", async () => {
  const request = vi.fn(() => Promise.reject(new Error("unreachable")));
  const texts: string[] = [];
  new QueuePoller(request, (text) => texts.push(text)).start();
  await vi.advanceTimersByTimeAsync(4_500);
  expect(texts).toEqual(["", ""]);
});

test("QueuePoller does not poll in a hidden page", async () => {
  vi.stubGlobal("document", { hidden: true });
  const request = vi.fn(() => Promise.resolve({ position: 1, seconds: null, served: null }));
  new QueuePoller(request, () => undefined).start();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(request).not.toHaveBeenCalled();
});
