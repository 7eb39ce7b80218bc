/** Where a waiting task stands and about how long it will take: asked of the API now and then, for nobody pushes it. */

import { duration } from "./formatting";

export interface Outlook {
  readonly position: number | null;
  /** Until it has ended, in half of all cases. */
  readonly seconds: number | null;
  /** Whether a live worker serves the task's model. */
  readonly served: boolean | null;
}

const UNKNOWN: Outlook = { position: null, seconds: null, served: null };
const FIRST_MILLISECONDS = 1_500;
const LONGEST_MILLISECONDS = 15_000;

/** Pure. Empty where nothing is known. */
export function waitingText({ position, seconds, served }: Outlook): string {
  if (served === false) return "no worker serves this model";
  const place = position === null ? [] : [position === 0 ? "next in line" : `${position} before it`];
  const time = seconds === null ? [] : [`about ${duration(seconds)}`];
  return [...place, ...time].join(", ");
}

/** Pure. The next in line changes soon; a task far behind, or one of which nothing is known, less and less often. */
export function pauseAfter({ position, served }: Outlook, lastPause: number): number {
  const longest = position === null || served === false ? LONGEST_MILLISECONDS : FIRST_MILLISECONDS * (1 + position / 3);
  return Math.min(2 * lastPause, longest, LONGEST_MILLISECONDS);
}

/** Asks while it is started, more often near the head of the queue, and not while the page is out of sight. */
export class WaitingLine {
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly ask: () => Promise<Outlook>, private readonly tell: (text: string) => void) {}

  get isAsking(): boolean {
    return this.#timer !== undefined;
  }

  start(): void {
    if (!this.isAsking) this.#askIn(FIRST_MILLISECONDS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #askIn(milliseconds: number): void {
    this.#timer = setTimeout(() => { void this.#asked(milliseconds); }, milliseconds);
  }

  async #asked(milliseconds: number): Promise<void> {
    const timer = this.#timer;
    // What cannot be told is left out: the card says all the same that the task waits.
    const outlook = document.hidden ? null : await this.ask().catch(() => UNKNOWN);
    if (this.#timer !== timer) return;
    if (outlook !== null) this.tell(waitingText(outlook));
    this.#askIn(pauseAfter(outlook ?? UNKNOWN, milliseconds));
  }
}
