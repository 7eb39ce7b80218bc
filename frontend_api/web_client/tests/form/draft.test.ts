import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { loadDraft, removeOtherDrafts, saveDraft } from "../../src/form/draft";

class FakeStorage {
  readonly items = new Map<string, string>();
  getItem = (key: string) => this.items.get(key) ?? null;
  setItem = (key: string, value: string) => { this.items.set(key, value); };
  removeItem = (key: string) => { this.items.delete(key); };
}

let tab: FakeStorage;
let browser: FakeStorage;

function openTab(): void {
  tab = new FakeStorage();
  vi.stubGlobal("sessionStorage", tab);
}

beforeEach(() => {
  openTab();
  browser = new FakeStorage();
  vi.stubGlobal("localStorage", browser);
});
afterEach(() => { vi.unstubAllGlobals(); });

test("a tab has its own draft, and a new one starts with the draft that was saved last", () => {
  saveDraft("ada", { prompt: "first" });
  const first = tab;
  openTab();
  saveDraft("ada", { prompt: "second" });
  openTab();
  expect(loadDraft("ada")).toEqual({ prompt: "second" });
  vi.stubGlobal("sessionStorage", first);
  expect(loadDraft("ada")).toEqual({ prompt: "first" });
});

test("a draft is returned to its user only", () => {
  saveDraft("ada", { prompt: "secret" });
  expect(loadDraft("bob")).toEqual({});
  openTab();
  expect([loadDraft("bob"), loadDraft("ada")]).toEqual([{}, { prompt: "secret" }]);
});

test("removeOtherDrafts keeps the user's draft", () => {
  saveDraft("bob", { prompt: "of another tab" });
  openTab();
  saveDraft("ada", { prompt: "mine" });
  removeOtherDrafts("ada");
  expect(loadDraft("ada")).toEqual({ prompt: "mine" });
});

test.each(["bob", null])("removeOtherDrafts removes the draft of ada in both storages for %s", (userId) => {
  saveDraft("ada", { prompt: "secret" });
  removeOtherDrafts(userId);
  expect([...tab.items.values(), ...browser.items.values()]).toEqual([]);
});

test("values without a user, and text that is no draft, are removed", () => {
  tab.setItem("darkroom.draft", JSON.stringify({ prompt: "of an earlier version" }));
  browser.setItem("darkroom.draft", "{");
  expect(loadDraft("ada")).toEqual({});
  removeOtherDrafts("ada");
  expect([tab.items.size, browser.items.size]).toEqual([0, 0]);
});

test("a blocked storage throws no error", () => {
  const blocked = { get: () => { throw new Error("blocked"); } };
  vi.unstubAllGlobals();
  const names = ["sessionStorage", "localStorage"] as const;
  const before = names.map((name) => Object.getOwnPropertyDescriptor(globalThis, name));
  for (const name of names) Object.defineProperty(globalThis, name, { ...blocked, configurable: true });
  try {
    saveDraft("ada", { prompt: "kept in the form only" });
    removeOtherDrafts(null);
    expect(loadDraft("ada")).toEqual({});
  } finally {
    names.forEach((name, index) => {
      const descriptor = before[index];
      if (descriptor === undefined) Reflect.deleteProperty(globalThis, name);
      else Object.defineProperty(globalThis, name, descriptor);
    });
  }
});
