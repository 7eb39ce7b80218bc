import { ProblemError, problemFrom } from "@darkroom/web";
import { afterEach, expect, test, vi } from "vitest";

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

afterEach(() => { vi.unstubAllGlobals(); });

/** Intents of pages that are loaded one after the other in the same tab. */
function pagesOfOneTab(): (userId: string | null) => SubmitIntent {
  const stored = new Map<string, string>();
  vi.stubGlobal("sessionStorage", {
    getItem: (name: string) => stored.get(name) ?? null,
    setItem: (name: string, value: string) => stored.set(name, value),
    removeItem: (name: string) => stored.delete(name),
  });
  let page = 0;
  return (userId: string | null) => {
    const number = ++page;
    const intent = new SubmitIntent(() => `key of page ${number}`);
    intent.resume(userId);
    return intent;
  };
}

test("a body without a response keeps its key after a reload, until it is accepted", async () => {
  const load = pagesOfOneTab();
  await expect(load("ada").submit("a", lost)).rejects.toThrow();
  expect(await load("ada").submit("a", accepted)).toBe("key of page 1");
  expect(await load("ada").submit("a", accepted)).toBe("key of page 3");
});

test.each(["bob", null])("another user, or none, gets no key, and no submission is left in the storage", async (next) => {
  const load = pagesOfOneTab();
  await expect(load("ada").submit("a", lost)).rejects.toThrow();
  expect(await load(next).submit("a", accepted)).toBe("key of page 2");
  expect(await load("ada").submit("a", accepted)).toBe("key of page 3");
});

test("a body that is being sent while the page is loaded again keeps its key", async () => {
  const load = pagesOfOneTab();
  void load("ada").submit("a", () => new Promise(() => undefined));
  expect(await load("ada").submit("a", accepted)).toBe("key of page 1");
});

test("only the newest bodies keep their keys", async () => {
  const intent = countingIntent();
  for (let number = 0; number < 101; number++) await expect(intent.submit(`body ${number}`, lost)).rejects.toThrow();
  expect([await intent.submit("body 1", accepted), await intent.submit("body 0", accepted)]).toEqual(["2", "102"]);
});
