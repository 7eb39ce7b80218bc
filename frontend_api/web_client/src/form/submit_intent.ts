/**
 * The Idempotency-Keys of submissions.
 *
 * A body that is sent again after an error keeps its key, also after a reload, so the API creates one task. This includes
 * errors that are not retryable: the API refuses credentials before it looks for the task of an earlier try whose
 * response was lost.
 */
import { newIdempotencyKey } from "@darkroom/web";

import { attempt } from "../storage";

/** How many bodies keep their keys; the oldest one loses it. */
const MAX_KEYS = 100;
const STORAGE_KEY = "darkroom.unanswered";

interface Unanswered {
  readonly userId: string;
  /** Each body with its key, the newest last. */
  readonly keys: readonly (readonly [string, string])[];
}

export class SubmitIntent {
  readonly #keys = new Map<string, string>();
  #userId: string | null = null;

  constructor(private readonly newKey: () => string = newIdempotencyKey) {}

  /** Continue with the keys that the tab had before a reload, if they are this user's; null: no user is signed in. */
  resume(userId: string | null): void {
    this.#userId = userId;
    const stored = attempt(() => JSON.parse(sessionStorage.getItem(STORAGE_KEY) ?? "null") as Unanswered | null);
    if (stored?.userId === userId) for (const [body, key] of stored.keys) this.#keys.set(body, key);
    else attempt(() => { sessionStorage.removeItem(STORAGE_KEY); });
  }

  /** Send a body with its key. Once the API has accepted it, the same body gets another key and creates another task. */
  async submit<Result>(body: string, send: (key: string) => Promise<Result>): Promise<Result> {
    const key = this.#keys.get(body) ?? this.newKey();
    this.#keys.delete(body); // so that it becomes the newest one
    this.#keys.set(body, key);
    const [oldest = ""] = this.#keys.keys();
    if (this.#keys.size > MAX_KEYS) this.#keys.delete(oldest);
    this.#store();
    const result = await send(key);
    if (this.#keys.get(body) === key) this.#keys.delete(body);
    this.#store();
    return result;
  }

  #store(): void {
    attempt(() => { sessionStorage.removeItem(STORAGE_KEY); }); // if the storage is full, no key of an accepted body is left
    if (this.#userId === null || this.#keys.size === 0) return;
    const unanswered: Unanswered = { userId: this.#userId, keys: [...this.#keys] };
    attempt(() => { sessionStorage.setItem(STORAGE_KEY, JSON.stringify(unanswered)); });
  }
}
