import { ProblemError, problemFrom } from "@darkroom/web";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { Poller } from "../../src/operator/poller";

/** A document that can be hidden and shown. */
class Page extends EventTarget {
  hidden = false;

  setHidden(hidden: boolean): void {
    this.hidden = hidden;
    this.dispatchEvent(new Event("visibilitychange"));
  }
}

let page: Page;
let events: string[];

beforeEach(() => {
  vi.useFakeTimers();
  page = new Page();
  events = [];
  vi.stubGlobal("document", page);
  vi.stubGlobal("addEventListener", () => undefined);
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

function createPoller(request: () => Promise<number>): Poller<number> {
  return new Poller(request, {
    onData: (data) => events.push(`data ${data}`),
    onError: () => events.push("error"),
    onRejected: (error) => events.push(`rejected ${error.problem.status}`),
  }, 3_000);
}

const problem = (status: number) => new ProblemError(problemFrom(status, "", null));

test("requests start at once, back off after errors and return to three seconds after a success", async () => {
  const request = vi.fn<() => Promise<number>>().mockRejectedValue(problem(503));
  createPoller(request).start();
  expect(request).toHaveBeenCalledTimes(1);
  await vi.advanceTimersByTimeAsync(3_000 + 6_000 + 12_000 + 24_000);
  expect(request).toHaveBeenCalledTimes(5);
  await vi.advanceTimersByTimeAsync(30_000);
  expect(request).toHaveBeenCalledTimes(6);
  request.mockResolvedValue(1);
  await vi.advanceTimersByTimeAsync(30_000 + 3_000);
  expect(events.slice(-2)).toEqual(["data 1", "data 1"]);
});

test("a hidden page sends no requests until it is visible again", async () => {
  const request = vi.fn(() => Promise.resolve(1));
  createPoller(request).start();
  await vi.advanceTimersByTimeAsync(0);
  page.setHidden(true);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(request).toHaveBeenCalledTimes(1);
  page.setHidden(false);
  await vi.advanceTimersByTimeAsync(0);
  expect(request).toHaveBeenCalledTimes(2);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(request).toHaveBeenCalledTimes(3);
});

test.each([401, 403])("a response of %d stops the requests until the next start", async (status) => {
  const request = vi.fn<() => Promise<number>>().mockRejectedValue(problem(status));
  const poller = createPoller(request);
  poller.start();
  await vi.advanceTimersByTimeAsync(60_000);
  page.setHidden(false);
  await vi.advanceTimersByTimeAsync(0);
  expect(events).toEqual([`rejected ${status}`]);
  request.mockResolvedValue(1);
  poller.start();
  await vi.advanceTimersByTimeAsync(0);
  expect(events.at(-1)).toBe("data 1");
});

test("a response after stop is dropped", async () => {
  let respond: (value: number) => void = () => undefined;
  const poller = createPoller(() => new Promise((resolve) => { respond = resolve; }));
  poller.start();
  poller.stop();
  respond(1);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(events).toEqual([]);
});

test("a visible page starts no second request while one is pending", async () => {
  const request = vi.fn(() => new Promise<number>(() => undefined));
  createPoller(request).start();
  for (let times = 0; times < 3; times += 1) page.setHidden(false);
  await vi.advanceTimersByTimeAsync(60_000);
  expect(request).toHaveBeenCalledTimes(1);
});
