import type { TaskDocument, TaskPage } from "@darkroom/web";
import { beforeEach, expect, test } from "vitest";

import { readAgain } from "../../src/bulk/read_again";
import { taskAt, withImages } from "../tasks";

/** What the API has now, newest first. Lists have pages of 100. */
let stored: TaskDocument[];
let requests: string[];

const source = {
  listTasks(query: ReadonlyMap<string, string>): Promise<TaskPage> {
    requests.push(query.get("status") ?? "");
    const [before, after] = [query.get("created_before"), query.get("created_after")].map((time) => Date.parse(time ?? ""));
    const selected = stored.filter(({ status, createdAt }) => status === query.get("status") && createdAt < Number(before) && createdAt >= Number(after));
    return Promise.resolve({ tasks: selected.slice(0, 100), nextToken: selected.length > 100 ? "more" : null });
  },
  findTask(id: string): Promise<TaskDocument | null> {
    requests.push(id);
    return Promise.resolve(stored.find((task) => task.id === id) ?? null);
  },
};

function failed(count: number): TaskDocument[] {
  return Array.from({ length: count }, (_, index) => taskAt(count - index, { status: "failed" }));
}

beforeEach(() => {
  [stored, requests] = [[], []];
});

test("a task that was retried elsewhere is read with its images", async () => {
  const known = failed(3);
  stored = [known[0], taskAt(2, withImages(4)), known[2]].flatMap((task) => task ?? []);
  const current = await readAgain(known, source);
  expect(current.map(({ status, images }) => [status, images.length])).toEqual([["failed", 0], ["completed", 4], ["failed", 0]]);
  expect(requests).toEqual(["failed", "task-2"]);
});

test("a deleted task is missing", async () => {
  const known = failed(2);
  stored = known.slice(1);
  expect((await readAgain(known, source)).map(({ id }) => id)).toEqual(["task-1"]);
});

test("a task with all its images is not read, one with failed images is", async () => {
  const partial = { status: "completed", num_images: 2, failed_images: [{ index: 1, message: "memory" }] };
  const complete = taskAt(2, withImages(1));
  stored = [taskAt(1, { ...partial, ...withImages(2), failed_images: [] })];
  const current = await readAgain([complete, taskAt(1, { ...partial, ...withImages(1) })], source);
  expect(current.map(({ images }) => images.length)).toEqual([1, 2]);
  expect([current[0], requests]).toEqual([complete, ["completed"]]);
});

test("a request is sent for each hundred tasks of a status", async () => {
  stored = failed(250);
  expect(await readAgain(stored, source)).toEqual(stored);
  expect(requests).toEqual(["failed", "failed", "failed"]);
});

test("pages between distant tasks are not read", async () => {
  stored = failed(1_000);
  const known = [0, 999].flatMap((index) => stored[index] ?? []);
  expect(await readAgain(known, source)).toEqual(known);
  expect(requests).toEqual(["failed", "failed"]);
});

test("tasks with the same time are read, also if a page is full of them", async () => {
  stored = Array.from({ length: 150 }, (_, index) => taskAt(1, { id: `same-${index}`, status: "failed" }));
  expect(await readAgain(stored, source)).toEqual(stored);
  expect([requests[0], requests.length]).toEqual(["failed", 51]);
});

test("few tasks are read at once, and an error ends the reads", async () => {
  const known = failed(100);
  let open = 0;
  let most = 0;
  const findTask = async (id: string) => {
    requests.push(id);
    most = Math.max(most, open += 1);
    await Promise.resolve();
    open -= 1;
    if (requests.length > 20) throw new Error("unreachable");
    return taskAt(1, { id });
  };
  await expect(readAgain(known, { ...source, findTask })).rejects.toThrow("unreachable");
  expect([most, requests.length < 30]).toEqual([4, true]);
});
