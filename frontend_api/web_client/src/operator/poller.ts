/** Requests data at intervals while the page is visible, and less often after errors. */

import { ProblemError } from "@darkroom/web";

/** The longest pause after errors. */
const MAX_INTERVAL_MILLISECONDS = 30_000;

export interface PollListener<Data> {
  onData(data: Data): void;
  /** The request failed and will be repeated. */
  onError(error: unknown): void;
  /** The credentials were rejected (401 or 403). Polling has stopped. */
  onRejected(error: ProblemError): void;
}

export class Poller<Data> {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isRunning = false;
  #isRequesting = false;
  #errors = 0;
  /** The number of starts and stops. Responses to requests of an earlier round are dropped. */
  #round = 0;

  constructor(
    private readonly request: () => Promise<Data>,
    private readonly listener: PollListener<Data>,
    private readonly intervalMilliseconds: number,
  ) {
    document.addEventListener("visibilitychange", () => { this.#pollNow(); });
    addEventListener("online", () => { this.#pollNow(); });
  }

  start(): void {
    this.stop();
    this.#isRunning = true;
    this.#errors = 0;
    void this.#poll(this.#round);
  }

  stop(): void {
    this.#isRunning = false;
    this.#isRequesting = false;
    this.#round += 1;
    clearTimeout(this.#timer);
  }

  #pollNow(): void {
    clearTimeout(this.#timer);
    if (this.#isRunning && !this.#isRequesting) void this.#poll(this.#round);
  }

  async #poll(round: number): Promise<void> {
    if (document.hidden) return; // `visibilitychange` continues
    this.#isRequesting = true;
    try {
      const data = await this.request();
      if (round !== this.#round) return;
      this.#errors = 0;
      this.listener.onData(data);
    } catch (error) {
      if (round !== this.#round) return;
      if (error instanceof ProblemError && [401, 403].includes(error.problem.status)) {
        this.stop();
        this.listener.onRejected(error);
        return;
      }
      this.#errors += 1;
      this.listener.onError(error);
    }
    this.#isRequesting = false;
    const delay = Math.min(this.intervalMilliseconds * 2 ** Math.max(0, this.#errors - 1), MAX_INTERVAL_MILLISECONDS);
    this.#timer = setTimeout(() => { void this.#poll(round); }, delay);
  }
}
