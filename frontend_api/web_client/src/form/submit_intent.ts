/**
 * The Idempotency-Keys of submissions.
 *
 * A body that is sent again after an error keeps its key, so the API creates one task. This includes errors that are not
 * retryable: the API refuses credentials before it looks for the task of an earlier try whose response was lost.
 */
import { newIdempotencyKey } from "@darkroom/web";

/** How many bodies keep their keys; the oldest one loses it. */
const MAX_KEYS = 100;

export class SubmitIntent {
  readonly #keys = new Map<string, string>();

  constructor(private readonly newKey: () => string = newIdempotencyKey) {}

  /** Send a body with its key. Once the API has accepted it, the same body gets another key and creates another task. */
  async submit<Result>(body: string, send: (key: string) => Promise<Result>): Promise<Result> {
    const key = this.#keys.get(body) ?? this.newKey();
    this.#keys.delete(body); // so that it becomes the newest one
    this.#keys.set(body, key);
    const [oldest = ""] = this.#keys.keys();
    if (this.#keys.size > MAX_KEYS) this.#keys.delete(oldest);
    const result = await send(key);
    if (this.#keys.get(body) === key) this.#keys.delete(body);
    return result;
  }
}
