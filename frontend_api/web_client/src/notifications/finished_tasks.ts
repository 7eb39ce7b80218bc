/** Which tasks are unfinished, and which of them have finished since. Without DOM access. */

import type { TaskDocument } from "@darkroom/web";

import { isUnfinished } from "../queue_panel/queue_summary";

export class FinishedTasks {
  #unfinished: ReadonlySet<string> = new Set();

  get unfinishedCount(): number {
    return this.#unfinished.size;
  }

  /** Take the newest tasks, and return those that have finished since the last call. */
  next(tasks: readonly TaskDocument[]): readonly TaskDocument[] {
    const finished = tasks.filter((task) => !isUnfinished(task) && this.#unfinished.has(task.id));
    this.#unfinished = new Set(tasks.filter(isUnfinished).map(({ id }) => id));
    return finished;
  }
}
