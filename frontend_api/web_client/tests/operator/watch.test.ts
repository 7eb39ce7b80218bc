import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Watch } from "../../src/operator/watch";
import { ProblemError, problemFrom } from "../../src/problems";

/** A page that can be hidden and shown; Node's own EventTarget does the rest. */
class Page extends EventTarget {
  hidden = false;

  turn(hidden: boolean): void {
    this.hidden = hidden;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

let page: Page;
let said: string[];

beforeEach(() => {
  vi.useFakeTimers();
  page = new Page();
  said = [];
  vi.stubGlobal("document", page);
  vi.stubGlobal("addEventListener", () => undefined);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function watching(ask: () => Promise<number>): Watch<number> {
  return new Watch(ask, {
    told: (answer) => said.push(`told ${answer}`),
    missed: () => said.push("missed"),
    refused: (error) => said.push(`refused ${error.problem.status}`),
  });
}

const problem = (status: number) => new ProblemError(problemFrom(status, "", null));

test("asks at once, and every three seconds", async () => {
  let answers = 0;
  watching(() => Promise.resolve((answers += 1))).start();
  await vi.advanceTimersByTimeAsync(6_000);
  expect(said).toEqual(["told 1", "told 2", "told 3"]);
});

test("asks less and less often without an answer, and as before once there is one", async () => {
  const ask = vi.fn<() => Promise<number>>().mockRejectedValue(problem(503));
  watching(ask).start();
  await vi.advanceTimersByTimeAsync(3_000 + 6_000 + 12_000 + 24_000);
  expect(ask).toHaveBeenCalledTimes(5);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(ask).toHaveBeenCalledTimes(6);
  ask.mockResolvedValue(1);
  await vi.advanceTimersByTimeAsync(30_000 + 3_000);
  expect(said.slice(-2)).toEqual(["told 1", "told 1"]);
});

test("asks nothing while nobody looks, and at once when somebody does", async () => {
  const ask = vi.fn(() => Promise.resolve(1));
  watching(ask).start();
  await vi.advanceTimersByTimeAsync(0);
  page.turn(true);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(ask).toHaveBeenCalledTimes(1);
  page.turn(false);
  await vi.advanceTimersByTimeAsync(0);
  expect(ask).toHaveBeenCalledTimes(2);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(ask).toHaveBeenCalledTimes(3);
});

test.each([401, 403])("asks no more once it was refused with %d, until it is started anew", async (status) => {
  const ask = vi.fn<() => Promise<number>>().mockRejectedValue(problem(status));
  const watch = watching(ask);
  watch.start();
  await vi.advanceTimersByTimeAsync(60_000);
  page.turn(false);
  await vi.advanceTimersByTimeAsync(0);
  expect(said).toEqual([`refused ${status}`]);
  ask.mockResolvedValue(1);
  watch.start();
  await vi.advanceTimersByTimeAsync(0);
  expect(said.at(-1)).toBe("told 1");
});

test("an answer that comes after it was stopped is nobody's", async () => {
  let answer: (value: number) => void = () => undefined;
  const watch = watching(() => new Promise((resolve) => { answer = resolve; }));
  watch.start();
  watch.stop();
  answer(1);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(said).toEqual([]);
});

test("is under way once, however often the page is shown", async () => {
  const ask = vi.fn(() => new Promise<number>(() => undefined));
  watching(ask).start();
  for (let times = 0; times < 3; times += 1) page.turn(false);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(ask).toHaveBeenCalledTimes(1);
});
