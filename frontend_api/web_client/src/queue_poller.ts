/** Queue position and remaining time of a queued task. Firestore does not push them, so the page polls the API. */

import type { QueueEstimate } from "@darkroom/web";

import { duration } from "./formatting";

const UNKNOWN: QueueEstimate = { position: null, seconds: null, served: null };
const MIN_DELAY_MILLISECONDS = 1_500;
const MAX_DELAY_MILLISECONDS = 15_000;

/** Pure. Empty if nothing is known. */
export function estimateText({ position, seconds, served }: QueueEstimate): string {
  if (served === false) return "no worker serves this model";
  const ahead = position === 1 ? "1 task ahead" : `${position} tasks ahead`;
  const place = position === null ? [] : [position === 0 ? "next in the queue" : ahead];
  const time = seconds === null ? [] : [`about ${duration(seconds)}`];
  return [...place, ...time].join(", ");
}

/** Pure. The delay grows with the number of tasks ahead, and with each poll up to a limit. */
export function nextDelay({ position, served }: QueueEstimate, lastDelay: number): number {
  const isKnown = position !== null && served !== false;
  const longest = isKnown ? MIN_DELAY_MILLISECONDS * (1 + position / 3) : MAX_DELAY_MILLISECONDS;
  return Math.min(2 * lastDelay, longest, MAX_DELAY_MILLISECONDS);
}

/** Polls while it is started, except in a hidden page. */
export class QueuePoller {
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    private readonly request: () => Promise<QueueEstimate>,
    private readonly onText: (text: string) => void,
  ) {}

  get isStarted(): boolean {
    return this.#timer !== undefined;
  }

  start(): void {
    if (!this.isStarted) this.#pollAfter(MIN_DELAY_MILLISECONDS);
  }

  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #pollAfter(milliseconds: number): void {
    this.#timer = setTimeout(() => { void this.#poll(milliseconds); }, milliseconds);
  }

  async #poll(lastDelay: number): Promise<void> {
    const timer = this.#timer;
    const estimate = document.hidden ? null : await this.request().catch(() => UNKNOWN);
    if (this.#timer !== timer) return;
    if (estimate !== null) this.onText(estimateText(estimate));
    this.#pollAfter(nextDelay(estimate ?? UNKNOWN, lastDelay));
  }
}
