/** The user's unfinished tasks, in words and in the order in which they run. Pure. */

import type { TaskDocument } from "@darkroom/web";

import { duration, minutesText } from "../formatting";

export function isUnfinished({ status }: Pick<TaskDocument, "status">): boolean {
  return status === "queued" || status === "processing";
}

/** Tasks that workers hold, then the queued ones, the oldest first. */
export function inQueueOrder(tasks: readonly TaskDocument[]): readonly TaskDocument[] {
  const isQueued = ({ status }: TaskDocument) => Number(status === "queued");
  return tasks.filter(isUnfinished).sort((a, b) => isQueued(a) - isQueued(b) || a.createdAt - b.createdAt);
}

/** "1 generating, 12 queued, about 2 min". `seconds`: the time until all are finished; null: unknown. */
export function queueText(tasks: readonly TaskDocument[], seconds: number | null): string {
  const queued = tasks.filter(({ status }) => status === "queued").length;
  const processing = tasks.filter(({ status }) => status === "processing").length;
  if (queued + processing === 0) return "Nothing queued";
  const counts = [...(processing > 0 ? [`${processing} generating`] : []), ...(queued > 0 ? [`${queued} queued`] : [])];
  return [...counts, ...(seconds === null ? [] : [`about ${roughly(seconds)}`])].join(", ");
}

/** An estimate of minutes is not exact to the second. */
function roughly(seconds: number): string {
  return seconds < 90 ? duration(seconds) : minutesText(Math.round(seconds / 60));
}

/** The last task of each model in the queue: when these are finished, all are. */
export function lastOfEachModel(tasks: readonly TaskDocument[]): readonly TaskDocument[] {
  return [...new Map(inQueueOrder(tasks).map((task) => [task.model, task])).values()];
}

/** The number of live tasks to follow, so that they contain every unfinished one. */
export function liveCount(tasks: readonly TaskDocument[], hasMore: boolean, count: number, maximum: number): number {
  const oldest = tasks.slice(-Math.ceil(count / 5));
  return hasMore && oldest.some(isUnfinished) ? Math.min(maximum, 2 * count) : count;
}
