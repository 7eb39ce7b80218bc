/**
 * One Idempotency-Key per thing somebody wants drawn: the same body sent again after no answer, or after "try again",
 * keeps its key, so a submission that did arrive is not drawn twice. Once settled, the same body means "one more".
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

  /** The service took the submission, or refused it for good. */
  settled(): void {
    this.#body = null;
  }
}

/** A random UUID. `crypto.randomUUID` exists in secure contexts only, and a phone may open this page over http. */
export function randomKey(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = ((bytes[6] ?? 0) & 0x0f) | 0x40;
  bytes[8] = ((bytes[8] ?? 0) & 0x3f) | 0x80;
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
