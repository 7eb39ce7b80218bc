import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { type Outlook, WaitingLine, pauseAfter, waitingText } from "../src/waiting_line";

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal("document", { hidden: false });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test.each<[Outlook, string]>([
  [{ position: 3, seconds: 12.4, served: true }, "3 before it, about 12 s"],
  [{ position: 0, seconds: 2.04, served: true }, "next in line, about 2.0 s"],
  [{ position: 7, seconds: null, served: null }, "7 before it"],
  [{ position: null, seconds: null, served: null }, ""],
  [{ position: 3, seconds: null, served: false }, "no worker serves this model"],
])("%o reads as %s", (outlook, text) => {
  expect(waitingText(outlook)).toBe(text);
});

test.each([
  [0, true, 1_500],
  [3, true, 3_000],
  [60, true, 15_000],
  [0, false, 15_000],
  [null, null, 15_000],
])("asks about position %d, served %s, again after at most %d ms", (position, served, milliseconds) => {
  const outlook = { position, seconds: null, served };
  expect(pauseAfter(outlook, 60_000)).toBe(milliseconds);
  expect(pauseAfter(outlook, 1_500)).toBeLessThanOrEqual(3_000);
});

test("asks less and less often far from the head of the queue, and no more once it is stopped", async () => {
  const ask = vi.fn(() => Promise.resolve({ position: 9, seconds: null, served: null }));
  const told: string[] = [];
  const line = new WaitingLine(ask, (text) => told.push(text));
  line.start();
  line.start();
  await vi.advanceTimersByTimeAsync(1_500);
  expect(told).toEqual(["9 before it"]);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(ask).toHaveBeenCalledTimes(2);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(ask).toHaveBeenCalledTimes(2);
  line.stop();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(ask).toHaveBeenCalledTimes(2);
});

test("tells nothing of an answer that came after the wait was over", async () => {
  let answer: (outlook: Outlook) => void = () => undefined;
  const told: string[] = [];
  const line = new WaitingLine(() => new Promise((resolve) => { answer = resolve; }), (text) => told.push(text));
  line.start();
  await vi.advanceTimersByTimeAsync(1_500);
  line.stop();
  answer({ position: 2, seconds: null, served: null });
  await vi.advanceTimersByTimeAsync(60_000);
  expect(told).toEqual([]);
});

test("says nothing where nothing can be told, and asks again", async () => {
  const ask = vi.fn(() => Promise.reject(new Error("away")));
  const told: string[] = [];
  new WaitingLine(ask, (text) => told.push(text)).start();
  await vi.advanceTimersByTimeAsync(4_500);
  expect(told).toEqual(["", ""]);
});

test("does not ask for a page that nobody sees", async () => {
  vi.stubGlobal("document", { hidden: true });
  const ask = vi.fn(() => Promise.resolve({ position: 1, seconds: null, served: null }));
  new WaitingLine(ask, () => undefined).start();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(ask).not.toHaveBeenCalled();
});
