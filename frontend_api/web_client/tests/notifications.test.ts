import { expect, test } from "vitest";

import { FinishedTasks } from "../src/notifications/finished_tasks";
import { notificationOf, refusalText } from "../src/notifications/notification_text";
import { taskAt, withImages } from "./tasks";

const task = (id: string, status: string, fields: Readonly<Record<string, unknown>> = {}) => taskAt(1, { id, status, ...fields });

test("a task that was unfinished and is not any more has finished once", () => {
  const tasks = new FinishedTasks();
  expect(tasks.next([task("old", "completed"), task("one", "queued"), task("two", "processing")])).toEqual([]);
  expect(tasks.unfinishedCount).toBe(2);
  const finished = task("two", "failed");
  // A task that was deleted is not in the list.
  expect(tasks.next([task("old", "completed"), finished, task("new", "completed")])).toEqual([finished]);
  expect(tasks.unfinishedCount).toBe(0);
  expect(tasks.next([finished])).toEqual([]);
});

test("a notification counts the tasks and shows the last prompt", () => {
  const done = task("done", "completed", { parameters: { prompt: "a fox" }, ...withImages(1) });
  const failed = task("failed", "failed", { parameters: { prompt: "an owl" } });
  const cancelled = task("cancelled", "cancelled");
  expect(notificationOf([done])).toEqual({ title: "1 task done", body: "a fox", task: done });
  expect(notificationOf([failed, cancelled, done, done])).toEqual({ title: "2 tasks done, 1 failed", body: "an owl", task: done });
  expect(notificationOf([failed, failed])).toEqual({ title: "2 tasks failed", body: "an owl", task: null });
  expect(notificationOf([cancelled])).toBeNull();
  expect(notificationOf([])).toBeNull();
});

test("the reason for missing notifications is described", () => {
  expect(refusalText("granted", true)).toBe("");
  expect(refusalText("denied", true)).toContain("has denied notifications");
  expect(refusalText("default", true)).toContain("Try again");
  expect(refusalText(null, true)).toContain("has no notifications");
  expect(refusalText("denied", false)).toContain("only over https");
});
