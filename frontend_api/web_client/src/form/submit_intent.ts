/**
 * The Idempotency-Key of submissions.
 *
 * A body that is sent again after a network error or a retryable error keeps its key, so the API creates one task. Once
 * a submission is settled, the same body gets a new key and creates another task.
 */
export class SubmitIntent {
  #body: string | null = null;
  #key = "";

  constructor(private readonly newKey: () => string = randomKey) {}

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

/** Return a random UUID. `crypto.randomUUID` exists in secure contexts only, but the page also works over HTTP. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
