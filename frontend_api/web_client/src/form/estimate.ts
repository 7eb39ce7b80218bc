/** The estimate of a submission: its duration, its price, and warnings about parameters that the model follows only in part. */

import type { Estimate, Warning } from "@darkroom/web";

import type { FieldErrors, FieldName } from "./fields";
import { duration, plainText } from "../formatting";

const TYPING_PAUSE_MILLISECONDS = 500;
/** A queue of short tasks changes often. */
const QUEUE_PAUSE_MILLISECONDS = 2_000;

/** Pure. Join all warnings about one field. */
export function warningsByField(warnings: readonly Warning[]): FieldErrors {
  const fields: FieldErrors = {};
  for (const { pointer, detail } of warnings) {
    const name = (pointer.split("/")[1] ?? "") as FieldName;
    const text = plainText(detail);
    fields[name] = fields[name] === undefined ? text : `${fields[name]} ${text}`;
  }
  return fields;
}

/** Pure. The number of the prompt's tokens: the service names it only if the model does not read all of them. */
export function promptTokens(warnings: readonly Warning[]): number | null {
  return warnings.find(({ pointer, tokens }) => pointer === "/prompt" && tokens != null)?.tokens ?? null;
}

/** Pure. "About 12 s · 0.0003 USD"; empty if nothing is known. */
export function estimateText({ eta, price, currency }: Estimate): string {
  const seconds = eta?.p50_seconds ?? null;
  const time = seconds === null ? [] : [`About ${duration(seconds)}`];
  const cost = price == null ? [] : [`${price.toPrecision(2)} ${currency ?? ""}`.trim()];
  return [...time, ...cost].join(" · ");
}

/** Requests the estimate of the form's values when typing pauses and when the queue has changed. A later request replaces an earlier one. */
export class FormEstimate {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #body: string | null = null;
  #requests = 0;
  #unfinished = 0;

  /** `show` gets null if there is no estimate. */
  constructor(
    private readonly request: (body: string) => Promise<Estimate>,
    private readonly show: (estimate: Estimate | null) => void,
  ) {}

  /** `body` is the body of a submission; null while the fields are invalid. */
  onEdit(body: string | null): void {
    if (body === this.#body) return;
    this.#body = body;
    if (body === null) {
      clearTimeout(this.#timer);
      this.#timer = undefined;
      this.show(null);
    } else this.#updateAfter(TYPING_PAUSE_MILLISECONDS);
  }

  /** Set how many of the user's tasks are unfinished: a new one waits for them. */
  setUnfinished(count: number): void {
    if (count === this.#unfinished) return;
    this.#unfinished = count;
    // A timer that is set leads to the new time, too.
    if (this.#body !== null && this.#timer === undefined) this.#updateAfter(QUEUE_PAUSE_MILLISECONDS);
  }

  #updateAfter(milliseconds: number): void {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => { this.#updateIfVisible(); }, milliseconds);
  }

  #updateIfVisible(): void {
    if (document.hidden) {
      // The timer stays set meanwhile: one request is enough then.
      document.addEventListener("visibilitychange", () => { this.#updateIfVisible(); }, { once: true });
      return;
    }
    clearTimeout(this.#timer);
    this.#timer = undefined;
    if (this.#body !== null) void this.#update(this.#body);
  }

  async #update(body: string): Promise<void> {
    const request = ++this.#requests;
    // If the request fails, the page shows no warning here; the submitted task still has it.
    const estimate = await this.request(body).catch(() => null);
    if (this.#body === body && this.#requests === request) this.show(estimate);
  }
}
