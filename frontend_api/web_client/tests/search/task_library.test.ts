import type { TaskDocument, TaskPage } from "@darkroom/web";
import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { type LibraryView, TaskLibrary } from "../../src/search/task_library";
import { NO_FILTER } from "../../src/search/task_filter";
import { taskAt } from "../tasks";

/** What `GET /v1/tasks` returns: tasks by their times, newest first, in pages of two. */
let stored: TaskDocument[];
let queries: Record<string, string>[];
let view: LibraryView | null;
let library: TaskLibrary;
let failure: Error | null;

function page(query: ReadonlyMap<string, string>, token: string | null): Promise<TaskPage> {
  queries.push({ ...Object.fromEntries(query), ...(token === null ? {} : { page_token: token }) });
  if (failure !== null) return Promise.reject(failure);
  const before = query.get("created_before");
  const selected = stored.filter(({ createdAt, status }) =>
    (before === undefined || createdAt < Date.parse(before)) && (query.get("status") ?? status) === status);
  const start = token === null ? 0 : selected.findIndex(({ id }) => id === token) + 1;
  const tasks = selected.slice(start, start + 2);
  return Promise.resolve({ tasks, nextToken: start + 2 < selected.length ? (tasks.at(-1)?.id ?? null) : null });
}

const shown = () => view?.tasks.map(({ createdAt }) => createdAt / 1_000);

beforeEach(() => {
  vi.useFakeTimers();
  [stored, queries, view, failure] = [[9, 8, 7, 6, 5, 4, 3, 2, 1].map((time) => taskAt(time)), [], null, null];
  library = new TaskLibrary(
    { page, task: (id) => (failure === null ? Promise.resolve(stored.find((task) => task.id === id) ?? null) : Promise.reject(failure)) },
    (newest) => { view = newest; },
  );
});

afterEach(() => {
  vi.useRealTimers();
});

function showLive(first: number, count: number, hasOlder = true): void {
  library.showLive(Array.from({ length: count }, (_, index) => taskAt(first - index)), hasOlder);
}

test("older tasks are loaded in pages after the live ones", async () => {
  showLive(9, 3);
  await library.loadMore();
  // The page begins at the oldest live task again: others may have its time.
  expect(shown()).toEqual([9, 8, 7, 6]);
  await library.loadMore();
  await library.loadMore();
  await library.loadMore();
  expect([shown(), view?.hasMore]).toEqual([[9, 8, 7, 6, 5, 4, 3, 2, 1], false]);
  expect(queries[1]).toEqual({ created_before: new Date(7_001).toISOString(), page_token: "task-6" });
});

test("nothing is loaded if the feed has all tasks", async () => {
  showLive(9, 9, false);
  await library.loadMore();
  library.setFilter({ ...NO_FILTER, text: "fox" });
  expect([queries, view?.hasMore]).toEqual([[], false]);
});

test("nothing is shown before the feed has reported", () => {
  library.setFilter({ ...NO_FILTER, text: "fox" });
  expect(view).toBeNull();
});

test("new tasks displace others, which stay in the list, and deleted ones leave it", async () => {
  showLive(9, 3);
  await library.loadMore();
  showLive(10, 3);
  expect(shown()).toEqual([10, 9, 8, 7, 6]);
  library.showLive([taskAt(10), taskAt(8), taskAt(7)], true);
  expect(shown()).toEqual([10, 8, 7, 6]);
});

test("a task that was deleted while new ones arrived leaves the list, and the displaced ones are read once", async () => {
  showLive(9, 3);
  stored = stored.filter(({ id }) => id !== "task-7");
  showLive(11, 3);
  failure = new Error("unreachable");
  await vi.advanceTimersByTimeAsync(3_000);
  expect(shown()).toEqual([11, 10, 9, 8, 7]);
  failure = null;
  await vi.advanceTimersByTimeAsync(3_000);
  expect([shown(), vi.getTimerCount()]).toEqual([[11, 10, 9, 8], 0]);
});

test("a page of all tasks removes older ones that were deleted, and a page of some tasks removes none", async () => {
  stored = stored.map((task) => taskAt(task.createdAt / 1_000, { status: task.createdAt % 3_000 === 0 ? "failed" : "completed" }));
  library.showLive(stored.slice(0, 2), true);
  library.setFilter({ ...NO_FILTER, status: "failed" });
  await vi.advanceTimersByTimeAsync(0);
  expect(shown()).toEqual([9, 6, 3]);
  stored = stored.filter(({ id }) => id !== "task-6");
  library.setFilter(NO_FILTER);
  for (let pages = 0; pages < 4; pages += 1) await library.loadMore();
  expect([shown(), view?.hasMore]).toEqual([[9, 8, 7, 5, 4, 3, 2, 1], false]);
  library.setFilter({ ...NO_FILTER, status: "completed" });
  await vi.advanceTimersByTimeAsync(0);
  library.setFilter(NO_FILTER);
  expect(shown()).toEqual([9, 8, 7, 5, 4, 3, 2, 1]);
});

test("older tasks are loaded again if many new ones have arrived at once", async () => {
  showLive(9, 3);
  await library.loadMore();
  showLive(20, 3);
  expect(shown()).toEqual([20, 19, 18]);
  stored = Array.from({ length: 20 }, (_, index) => taskAt(20 - index));
  await library.loadMore();
  expect(shown()).toEqual([20, 19, 18, 17]);
});

test("filter loads the tasks that the API selects, and hides those of other filters", async () => {
  stored = stored.map((task, index) => taskAt(9 - index, { status: index % 3 === 0 ? "failed" : task.status }));
  library.showLive(stored.slice(0, 2), true);
  library.setFilter({ ...NO_FILTER, status: "failed" });
  await vi.advanceTimersByTimeAsync(0);
  expect([queries[0]?.status, shown(), view?.hasMore]).toEqual(["failed", [9, 6, 3], false]);
  library.setFilter(NO_FILTER);
  expect([shown(), view?.hasMore]).toEqual([[9, 8], true]);
});

test("search of prompts loads a few pages and counts the searched tasks", async () => {
  stored = Array.from({ length: 30 }, (_, index) => taskAt(30 - index, { parameters: { prompt: index === 7 ? "a fox" : "a cat" } }));
  library.showLive(stored.slice(0, 4), true);
  library.setFilter({ ...NO_FILTER, text: "fox" });
  await vi.advanceTimersByTimeAsync(0);
  expect([shown(), view?.searchedCount, view?.isLoading, view?.hasMore]).toEqual([[23], 9, false, true]);
});

test("result of an earlier filter is dropped", async () => {
  showLive(9, 2);
  library.setFilter({ ...NO_FILTER, status: "failed" });
  library.setFilter(NO_FILTER);
  await vi.advanceTimersByTimeAsync(0);
  expect([shown(), view?.isLoading]).toEqual([[9, 8], false]);
});

test("failed load is reported and repeated on request", async () => {
  showLive(9, 3);
  failure = new Error("unreachable");
  await library.loadMore();
  expect([view?.error, view?.hasMore]).toEqual([failure, true]);
  failure = null;
  await library.loadMore();
  expect([view?.error, shown()]).toEqual([null, [9, 8, 7, 6]]);
});

test("older tasks change by actions, and unfinished ones are read again", async () => {
  showLive(9, 3);
  await library.loadMore();
  library.put([taskAt(6, { status: "queued" }), taskAt(1, { id: "unknown" })]);
  expect([shown(), view?.tasks.at(-1)?.status]).toEqual([[9, 8, 7, 6], "queued"]);
  await vi.advanceTimersByTimeAsync(3_000);
  expect(view?.tasks.at(-1)?.status).toBe("completed");
  library.remove(["task-6"]);
  expect(shown()).toEqual([9, 8, 7]);
});

test("unfinished older task that was deleted leaves the list", async () => {
  showLive(9, 3);
  await library.loadMore();
  library.put([taskAt(6, { status: "queued" })]);
  stored = stored.filter(({ id }) => id !== "task-6");
  await vi.advanceTimersByTimeAsync(3_000);
  expect(shown()).toEqual([9, 8, 7]);
});
