/** Actions for many tasks. Without DOM access. */

import { type ChangeResult, MAX_CHANGED_TASKS, type Problem, ProblemError, type TaskDocument } from "@darkroom/web";

import { quoted } from "../formatting";
import { errorText } from "../problems";

export interface BulkResult<Item> {
  readonly done: readonly Item[];
  readonly failed: readonly { readonly item: Item; readonly reason: string }[];
}

/** Browsers open six HTTP/1.1 connections to a host; the list needs some of them. */
const AT_ONCE = 4;
const MAX_TRIES = 4;
const FIRST_PAUSE_SECONDS = 0.5;
const MAX_PAUSE_SECONDS = 30;
/** How many failed tasks a message names. */
const MAX_NAMES = 3;

const sleep = (seconds: number) => new Promise<void>((resolve) => { setTimeout(resolve, seconds * 1_000); });

/** Change all tasks, up to a hundred per request. Tasks with a passing problem are sent again. */
export async function changeAll(
  tasks: readonly TaskDocument[],
  change: (ids: readonly string[]) => Promise<readonly ChangeResult[]>,
  onProgress: (finished: number) => void = () => undefined,
  pause: (seconds: number) => Promise<void> = sleep,
): Promise<BulkResult<TaskDocument>> {
  const done: TaskDocument[] = [];
  const failed: { item: TaskDocument; reason: string }[] = [];
  let waiting = tasks;
  for (let attempt = 1; waiting.length > 0; attempt += 1) {
    const again: TaskDocument[] = [];
    let seconds = 0;
    for (let start = 0; start < waiting.length; start += MAX_CHANGED_TASKS) {
      const part = waiting.slice(start, start + MAX_CHANGED_TASKS);
      const problems = await problemsOf(part, change);
      for (const item of part) {
        const error = problems.get(item.id);
        const isPassing = error instanceof ProblemError && error.problem.retryable && attempt < MAX_TRIES;
        if (error === undefined) done.push(item);
        else if (isPassing) {
          again.push(item);
          seconds = Math.max(seconds, pauseSeconds(error.problem, attempt));
        } else failed.push({ item, reason: errorText(error) });
      }
      onProgress(done.length + failed.length);
    }
    if (again.length > 0) await pause(seconds);
    waiting = again;
  }
  return { done, failed };
}

/** Return the errors of the tasks that were not changed, by id. If the request fails, all have its error. */
async function problemsOf(
  tasks: readonly TaskDocument[],
  change: (ids: readonly string[]) => Promise<readonly ChangeResult[]>,
): Promise<ReadonlyMap<string, unknown>> {
  try {
    const results = await change(tasks.map(({ id }) => id));
    return new Map(results.flatMap(({ id, problem }) => (problem === null ? [] : [[id, new ProblemError(problem)]])));
  } catch (error) {
    return new Map(tasks.map(({ id }) => [id, error]));
  }
}

/** Apply an action to each item, a few at once. A passing refusal is retried after the time that the API names. */
export async function runForEach<Item>(
  items: readonly Item[],
  action: (item: Item) => Promise<unknown>,
  onProgress: (finished: number) => void = () => undefined,
  pause: (seconds: number) => Promise<void> = sleep,
): Promise<BulkResult<Item>> {
  const done: Item[] = [];
  const failed: { item: Item; reason: string }[] = [];
  await inParallel(items, async (item) => {
    try {
      await withRetries(() => action(item), pause);
      done.push(item);
    } catch (error) {
      failed.push({ item, reason: errorText(error) });
    }
    onProgress(done.length + failed.length);
  });
  return { done, failed };
}

/** Apply an action to each item, a few at once. The first error ends it. */
export async function inParallel<Item>(items: readonly Item[], action: (item: Item) => Promise<void>): Promise<void> {
  const waiting = items.values();
  const work = async () => { for (const item of waiting) await action(item); };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
}

async function withRetries(action: () => Promise<unknown>, pause: (seconds: number) => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await action();
      return;
    } catch (error) {
      if (!(error instanceof ProblemError) || !error.problem.retryable || attempt === MAX_TRIES) throw error;
      await pause(pauseSeconds(error.problem, attempt));
    }
  }
}

function pauseSeconds({ retryAfterSeconds }: Problem, attempt: number): number {
  return Math.min(MAX_PAUSE_SECONDS, retryAfterSeconds ?? FIRST_PAUSE_SECONDS * 2 ** (attempt - 1));
}

/** "12 deleted." or "10 deleted, 2 failed: “a red circle”, “a blue square”. Not found." with the most frequent reason. */
export function resultText({ done, failed }: BulkResult<{ readonly prompt: string }>, participle: string): string {
  const counts = new Map<string, number>();
  for (const { reason } of failed) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const [reason] = [...counts].sort(([, a], [, b]) => b - a).map(([text]) => text);
  if (reason === undefined) return `${done.length} ${participle}.`;
  const names = failed.slice(0, MAX_NAMES).map(({ item }) => quoted(item.prompt)).join(", ");
  const others = failed.length > MAX_NAMES ? ` and ${failed.length - MAX_NAMES} more` : "";
  return `${done.length} ${participle}, ${failed.length} failed: ${names}${others}. ${reason}`;
}

/** "1 task", "12 tasks". */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
