/**
 * The Idempotency-Key of submissions.
 *
 * A body that is sent again after a network error or a retryable error keeps its key, so the API creates one task. Once
 * a submission is settled, the same body gets a new key and creates another task.
 */
import { newIdempotencyKey } from "@darkroom/web";

export class SubmitIntent {
  #body: string | null = null;
  #key = "";

  constructor(private readonly newKey: () => string = newIdempotencyKey) {}

  keyFor(body: string): string {
    if (this.#body !== body) {
      this.#body = body;
      this.#key = this.newKey();
    }
    return this.#key;
  }

  /** The API accepted the submission or rejected it with an error that is not retryable. */
  settle(): void {
    this.#body = null;
  }
}
