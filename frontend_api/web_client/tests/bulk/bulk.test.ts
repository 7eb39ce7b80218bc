import { ProblemError, problemFrom } from "@darkroom/web";
import { expect, test } from "vitest";

import { counted, resultText, runForEach } from "../../src/bulk/bulk";

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
  expect(resultText(result, "deleted")).toBe("7 deleted, 2 failed: Refused with 409.");
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

test("counts have their noun", () => {
  expect([counted(1, "task"), counted(0, "task"), counted(1_200, "image")]).toEqual(["1 task", "0 tasks", "1,200 images"]);
});
