/** Reads tasks again, because other tabs and programs change them. Without DOM access. */

import type { DarkroomClient, TaskDocument } from "@darkroom/web";

import { viewOf } from "../task_view";
import { inParallel } from "./bulk";

type Source = Pick<DarkroomClient, "listTasks" | "findTask">;

/**
 * Return the tasks as they are now, without those that were deleted.
 *
 * A list of the tasks with the same status has up to a hundred of them in one response. The others have changed or were
 * deleted, and are read one by one. A task with all its images does not change.
 */
export async function readAgain(tasks: readonly TaskDocument[], source: Source): Promise<readonly TaskDocument[]> {
  const changeable = tasks.filter((task) => viewOf(task).isActive || viewOf(task).canRetry);
  const current = new Map(tasks.map((task) => [task.id, task]));
  for (const { id } of changeable) current.delete(id);
  for (const status of new Set(changeable.map((task) => task.status))) {
    const same = changeable.filter((task) => task.status === status);
    for (const task of await listed(same, status, source)) current.set(task.id, task);
  }
  await inParallel(changeable.filter(({ id }) => !current.has(id)), async ({ id }) => {
    const task = await source.findTask(id);
    if (task !== null) current.set(id, task);
  });
  return tasks.flatMap(({ id }) => current.get(id) ?? []);
}

/** Read pages of a list that begin at one of these tasks: between them may be many others. */
async function listed(tasks: readonly TaskDocument[], status: string, source: Source): Promise<readonly TaskDocument[]> {
  const found: TaskDocument[] = [];
  let left = [...tasks].sort((a, b) => b.createdAt - a.createdAt);
  const end = new Date(Math.floor(left.at(-1)?.createdAt ?? 0)).toISOString();
  for (let first = left[0]; first !== undefined; first = left[0]) {
    // The times of the API are more exact than those of the page.
    const start = new Date(Math.ceil(first.createdAt) + 1).toISOString();
    const page = await source.listTasks(new Map([["status", status], ["created_before", start], ["created_after", end]]));
    found.push(...page.tasks);
    const reached = page.nextToken === null ? -Infinity : Math.min(first.createdAt, page.tasks.at(-1)?.createdAt ?? Infinity);
    left = left.filter(({ createdAt }) => createdAt < reached);
  }
  return found;
}
