import { expect, test, vi } from "vitest";

import { keepPlace, taskOf } from "../src/list_place";
import { type Session, followSession, localAuth } from "../src/session";
import { taskAt } from "./tasks";

const tasks = [3, 2, 1].map((seconds) => taskAt(seconds));
const idOf = (id: string, createdAt: number) => taskOf({ id, createdAt, top: 40 }, tasks)?.id;

test("a place is where its task is", () => {
  expect(idOf("task-2", 2_000)).toBe("task-2");
});

test("the place of a deleted task is the next older one", () => {
  expect(idOf("deleted", 2_500)).toBe("task-2");
});

test("a place is unknown until the list reaches it", () => {
  expect(idOf("older", 500)).toBeUndefined();
  // Tasks that were submitted together have the same time.
  expect(idOf("together", 1_000)).toBeUndefined();
});

test("a page whose user signs out keeps no place for the next user", () => {
  const stored = new Map<string, string>();
  const page = new EventTarget();
  vi.stubGlobal("sessionStorage", {
    setItem: (key: string, value: string) => stored.set(key, value),
    removeItem: (key: string) => stored.delete(key),
  });
  vi.stubGlobal("addEventListener", page.addEventListener.bind(page));
  vi.stubGlobal("document", { body: { hidden: false } });
  vi.stubGlobal("history", { replaceState: vi.fn(), pushState: vi.fn() });
  vi.stubGlobal("location", { pathname: "/", search: "", reload: () => page.dispatchEvent(new Event("pagehide")) });
  const local = localAuth("ada");
  keepPlace(() => ({ id: "task-1", createdAt: 1_000, top: 40 }));
  page.dispatchEvent(new Event("pagehide"));
  expect(stored.size).toBe(1);
  const signOut = (onChange: (session: Session | null) => void) => { local.subscribe(onChange); onChange(null); };
  followSession({ ...local, subscribe: signOut }, vi.fn());
  expect(stored.size).toBe(0);
});
