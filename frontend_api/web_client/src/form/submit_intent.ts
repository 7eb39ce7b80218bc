/**
 * The Idempotency-Key of submissions.
 *
 * A body that is sent again after an error keeps its key, so the API creates one task. This includes errors that are not
 * retryable: the API refuses credentials before it looks for the task of an earlier try whose response was lost.
 */
import { newIdempotencyKey } from "@darkroom/web";

export class SubmitIntent {
  #body: string | null = null;
  #key = "";

  constructor(private readonly newKey: () => string = newIdempotencyKey) {}

  /** Send a body with its key. Once the API has accepted it, the same body gets another key and creates another task. */
  async submit<Result>(body: string, send: (key: string) => Promise<Result>): Promise<Result> {
    if (this.#body !== body) {
      this.#body = body;
      this.#key = this.newKey();
    }
    const result = await send(this.#key);
    this.#body = null;
    return result;
  }
}
