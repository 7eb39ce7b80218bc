import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { type Outlook, WaitingLine, waitingText } from "../src/waiting_line";

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

test("asks less and less often, and no more once it is stopped", async () => {
  const ask = vi.fn(() => Promise.resolve({ position: 1, seconds: null, served: null }));
  const told: string[] = [];
  const line = new WaitingLine(ask, (text) => told.push(text));
  line.start();
  line.start();
  await vi.advanceTimersByTimeAsync(1_500);
  expect(told).toEqual(["1 before it"]);
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
