import { type ChangeResult, ProblemError, type TaskDocument, problemFrom } from "@darkroom/web";
import { expect, test } from "vitest";

import { changeAll, counted, resultText, runForEach } from "../../src/bulk/bulk";

const refusal = (status: number, retryAfter: string | null = null) =>
  new ProblemError(problemFrom(status, JSON.stringify({ detail: `Refused with ${status}` }), retryAfter));

test("every item is tried, and failures are kept with their reason", async () => {
  let [running, most] = [0, 0];
  const progress: number[] = [];
  const result = await runForEach(
    [1, 2, 3, 4, 5, 6, 7, 8, 9],
    async (item) => {
      running += 1;
      most = Math.max(most, running);
      await Promise.resolve();
      running -= 1;
      if (item % 4 === 0) throw refusal(409);
    },
    (finished) => { progress.push(finished); },
  );
  expect([...result.done].sort()).toEqual([1, 2, 3, 5, 6, 7, 9]);
  expect(result.failed.map(({ item }) => item)).toEqual([4, 8]);
  expect(progress).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9]);
  expect(most).toBe(4);
  expect(result.failed.map(({ reason }) => reason)).toEqual(["Refused with 409.", "Refused with 409."]);
});

test("passing refusals are retried after the time that the API names", async () => {
  const answers = [refusal(429, "7"), new ProblemError(problemFrom(0, JSON.stringify({ retryable: true }), null))];
  const pauses: number[] = [];
  const result = await runForEach(
    ["a"],
    () => {
      const answer = answers.shift();
      return answer === undefined ? Promise.resolve() : Promise.reject(answer);
    },
    undefined,
    (seconds) => {
      pauses.push(seconds);
      return Promise.resolve();
    },
  );
  expect([result.done, pauses]).toEqual([["a"], [7, 1]]);
});

test("retries end, and other errors are not retried", async () => {
  let tries = 0;
  const pause = () => Promise.resolve();
  const result = await runForEach(["a"], () => { tries += 1; return Promise.reject(refusal(503)); }, undefined, pause);
  expect([tries, result.failed.length]).toEqual([4, 1]);
  tries = 0;
  await runForEach(["a"], () => { tries += 1; return Promise.reject(refusal(404)); }, undefined, pause);
  expect(tries).toBe(1);
});

const tasks = (count: number) => Array.from({ length: count }, (_, index) => ({ id: `t${index}`, prompt: `circle ${index}` }) as TaskDocument);
const changed = (id: string, error: ProblemError | null = null): ChangeResult => ({ id, task: null, problem: error?.problem ?? null });

test("tasks are changed by one request for a hundred", async () => {
  const requests: number[] = [];
  const progress: number[] = [];
  const result = await changeAll(
    tasks(101),
    (ids) => {
      requests.push(ids.length);
      return Promise.resolve(ids.map((id) => changed(id)));
    },
    (finished) => { progress.push(finished); },
  );
  expect([requests, progress, result.done.length, result.failed]).toEqual([[100, 1], [100, 101], 101, []]);
});

test("only tasks with a passing problem are sent again, after the longest wait that the API names", async () => {
  const requests: (readonly string[])[] = [];
  const pauses: number[] = [];
  const problems: Record<string, ProblemError> = { t0: refusal(404), t1: refusal(429, "7"), t2: refusal(503, "2") };
  const result = await changeAll(
    tasks(4),
    (ids) => {
      requests.push(ids);
      return Promise.resolve(ids.map((id) => changed(id, requests.length === 1 ? problems[id] : null)));
    },
    undefined,
    (seconds) => {
      pauses.push(seconds);
      return Promise.resolve();
    },
  );
  expect([requests[1], pauses]).toEqual([["t1", "t2"], [7]]);
  expect(result.done.map(({ id }) => id)).toEqual(["t3", "t1", "t2"]);
  expect(result.failed).toEqual([{ item: { id: "t0", prompt: "circle 0" }, reason: "Refused with 404." }]);
});

test("all tasks of a request fail with it, and tries end", async () => {
  let tries = 0;
  const change = () => { tries += 1; return Promise.reject(refusal(503)); };
  const result = await changeAll(tasks(2), change, undefined, () => Promise.resolve());
  expect([tries, result.done, result.failed.length]).toEqual([4, [], 2]);
});

test("failed tasks are named", () => {
  const failed = tasks(5).map((item) => ({ item, reason: "The task was not found." }));
  const named = (index: number) => `“\u2068circle ${index}\u2069”`;
  expect(resultText({ done: tasks(2), failed: failed.slice(0, 1) }, "deleted")).toBe(`2 deleted, 1 failed: ${named(0)}. The task was not found.`);
  expect(resultText({ done: [], failed }, "deleted")).toBe(`0 deleted, 5 failed: ${named(0)}, ${named(1)}, ${named(2)} and 2 more. The task was not found.`);
  expect(resultText({ done: tasks(3), failed: [] }, "labelled")).toBe("3 labelled.");
});

test("counts have their noun", () => {
  expect([counted(1, "task"), counted(0, "task"), counted(1_200, "image")]).toEqual(["1 task", "0 tasks", "1,200 images"]);
});
