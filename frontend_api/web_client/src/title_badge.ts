/** The page's title: how many tasks are unfinished, and whether tasks have finished while the page was hidden. */

import type { TaskDocument } from "@darkroom/web";

/** Pure. */
export function titleOf(activeCount: number, hasUnseen: boolean): string {
  return `${activeCount > 0 ? `(${activeCount}) ` : ""}${hasUnseen ? "✓ " : ""}darkroom`;
}

export class TitleBadge {
  #active: ReadonlySet<string> = new Set();
  #hasUnseen = false;

  constructor() {
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      this.#hasUnseen = false;
      this.#show();
    });
  }

  show(tasks: readonly TaskDocument[]): void {
    const active = new Set(tasks.filter(({ status }) => status === "queued" || status === "processing").map(({ id }) => id));
    const hasFinished = tasks.some(({ id }) => this.#active.has(id) && !active.has(id));
    this.#hasUnseen ||= document.hidden && hasFinished;
    this.#active = active;
    this.#show();
  }

  #show(): void {
    document.title = titleOf(this.#active.size, this.#hasUnseen);
  }
}
