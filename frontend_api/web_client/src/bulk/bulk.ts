/** One request per task for many tasks. Without DOM access. */

import { ProblemError } from "@darkroom/web";

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

const sleep = (seconds: number) => new Promise<void>((resolve) => { setTimeout(resolve, seconds * 1_000); });

/** Apply an action to each item, a few at once. A passing refusal is retried after the time that the API names. */
export async function runForEach<Item>(
  items: readonly Item[],
  action: (item: Item) => Promise<unknown>,
  onProgress: (finished: number) => void = () => undefined,
  pause: (seconds: number) => Promise<void> = sleep,
): Promise<BulkResult<Item>> {
  const done: Item[] = [];
  const failed: { item: Item; reason: string }[] = [];
  const waiting = items.values();
  const work = async () => {
    for (const item of waiting) {
      try {
        await withRetries(() => action(item), pause);
        done.push(item);
      } catch (error) {
        failed.push({ item, reason: errorText(error) });
      }
      onProgress(done.length + failed.length);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  return { done, failed };
}

async function withRetries(action: () => Promise<unknown>, pause: (seconds: number) => Promise<void>): Promise<void> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      await action();
      return;
    } catch (error) {
      if (!(error instanceof ProblemError) || !error.problem.retryable || attempt === MAX_TRIES) throw error;
      const seconds = error.problem.retryAfterSeconds ?? FIRST_PAUSE_SECONDS * 2 ** (attempt - 1);
      await pause(Math.min(MAX_PAUSE_SECONDS, seconds));
    }
  }
}

/** "12 deleted." or "10 deleted, 2 failed: The service is unreachable." with the most frequent reason. */
export function resultText({ done, failed }: BulkResult<unknown>, participle: string): string {
  const counts = new Map<string, number>();
  for (const { reason } of failed) counts.set(reason, (counts.get(reason) ?? 0) + 1);
  const [reason] = [...counts].sort(([, a], [, b]) => b - a).map(([text]) => text);
  if (reason === undefined) return `${done.length} ${participle}.`;
  return `${done.length} ${participle}, ${failed.length} failed: ${reason}`;
}

/** "1 task", "12 tasks". */
export function counted(count: number, noun: string): string {
  return `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;
}
