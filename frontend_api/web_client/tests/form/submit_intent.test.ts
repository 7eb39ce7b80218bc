import { ProblemError, problemFrom } from "@darkroom/web";
import { expect, test } from "vitest";

import { SubmitIntent } from "../../src/form/submit_intent";

function countingIntent(): SubmitIntent {
  let count = 0;
  return new SubmitIntent(() => String(++count));
}

const accepted = (key: string) => Promise.resolve(key);

test("submit returns the response, and sends an accepted body with a new key", async () => {
  const intent = countingIntent();
  expect([await intent.submit("a", accepted), await intent.submit("a", accepted)]).toEqual(["1", "2"]);
});

test("a body keeps its key after any error, also a refusal of credentials after a try without a response", async () => {
  const intent = countingIntent();
  const keys: string[] = [];
  for (const status of [0, 401, 403, 404]) {
    const failed = intent.submit("a", (key) => {
      keys.push(key);
      return Promise.reject(new ProblemError(problemFrom(status, "", null)));
    });
    await expect(failed).rejects.toThrow(ProblemError);
  }
  expect([...keys, await intent.submit("a", accepted), await intent.submit("b", accepted)]).toEqual(["1", "1", "1", "1", "1", "2"]);
});
