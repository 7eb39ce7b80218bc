/** The page's title: how many tasks are unfinished, and whether tasks have finished while the page was hidden. */

/** Pure. */
export function titleOf(unfinishedCount: number, hasUnseen: boolean): string {
  return `${unfinishedCount > 0 ? `(${unfinishedCount}) ` : ""}${hasUnseen ? "✓ " : ""}darkroom`;
}

export class TitleBadge {
  #unfinishedCount = 0;
  #hasUnseen = false;

  constructor() {
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) return;
      this.#hasUnseen = false;
      this.#show();
    });
  }

  /** `hasFinished`: tasks have finished since the last call. */
  show(unfinishedCount: number, hasFinished: boolean): void {
    this.#hasUnseen ||= document.hidden && hasFinished;
    this.#unfinishedCount = unfinishedCount;
    this.#show();
  }

  #show(): void {
    document.title = titleOf(this.#unfinishedCount, this.#hasUnseen);
  }
}
