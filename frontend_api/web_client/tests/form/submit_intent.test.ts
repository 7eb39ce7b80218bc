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

const lost = () => Promise.reject(new Error("no response"));

test("a body keeps its key when another one is accepted meanwhile", async () => {
  const intent = countingIntent();
  const keys: string[] = [];
  const pending: { lose?: () => void } = {};
  const b = intent.submit("b", (key) => {
    keys.push(key);
    return new Promise((_, reject) => { pending.lose = () => { reject(new Error("no response")); }; });
  });
  await intent.submit("a", accepted);
  pending.lose?.();
  await expect(b).rejects.toThrow("no response");
  expect([...keys, await intent.submit("b", accepted)]).toEqual(["1", "1"]);
});

test("a late response does not remove the key of a newer submission of the same body", async () => {
  const intent = countingIntent();
  const pending: { answer?: () => void } = {};
  const first = intent.submit("a", (key) => new Promise((resolve) => { pending.answer = () => { resolve(key); }; }));
  expect(await intent.submit("a", accepted)).toBe("1");
  await expect(intent.submit("a", lost)).rejects.toThrow(); // with the key 2
  pending.answer?.();
  await first;
  expect(await intent.submit("a", accepted)).toBe("2");
});

test("only the newest bodies keep their keys", async () => {
  const intent = countingIntent();
  for (let number = 0; number < 101; number++) await expect(intent.submit(`body ${number}`, lost)).rejects.toThrow();
  expect([await intent.submit("body 1", accepted), await intent.submit("body 0", accepted)]).toEqual(["2", "102"]);
});
