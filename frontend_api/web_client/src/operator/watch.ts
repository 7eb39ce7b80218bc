/** Asks again and again while the page is seen, less often while it gets no answer, and not while nobody looks. */

import { ProblemError } from "../problems";

const PAUSE_MILLISECONDS = 3_000;
const LONGEST_PAUSE_MILLISECONDS = 30_000;

export interface Watcher<Told> {
  told(answer: Told): void;
  /** There is no answer for now: it is asked for again. */
  missed(error: unknown): void;
  /** Asking again would change nothing, until somebody starts it anew. */
  refused(error: ProblemError): void;
}

export class Watch<Told> {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isRunning = false;
  #isAsking = false;
  #misses = 0;
  /** Answers to questions of before the latest start are nobody's. */
  #round = 0;

  constructor(private readonly ask: () => Promise<Told>, private readonly watcher: Watcher<Told>) {
    document.addEventListener("visibilitychange", () => { this.#sooner(); });
    addEventListener("online", () => { this.#sooner(); });
  }

  start(): void {
    this.stop();
    this.#isRunning = true;
    this.#misses = 0;
    void this.#asked(this.#round);
  }

  stop(): void {
    this.#isRunning = false;
    this.#isAsking = false;
    this.#round += 1;
    clearTimeout(this.#timer);
  }

  /** At once, if it is running and nothing is under way. */
  #sooner(): void {
    clearTimeout(this.#timer);
    if (this.#isRunning && !this.#isAsking) void this.#asked(this.#round);
  }

  async #asked(round: number): Promise<void> {
    if (document.hidden) return; // becoming visible asks
    this.#isAsking = true;
    try {
      const answer = await this.ask();
      if (round !== this.#round) return;
      this.#misses = 0;
      this.watcher.told(answer);
    } catch (error) {
      if (round !== this.#round) return;
      if (error instanceof ProblemError && [401, 403].includes(error.problem.status)) {
        this.stop();
        this.watcher.refused(error);
        return;
      }
      this.#misses += 1;
      this.watcher.missed(error);
    }
    this.#isAsking = false;
    const pause = Math.min(PAUSE_MILLISECONDS * 2 ** Math.max(0, this.#misses - 1), LONGEST_PAUSE_MILLISECONDS);
    this.#timer = setTimeout(() => { void this.#asked(round); }, pause);
  }
}
