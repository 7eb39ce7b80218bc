/** The estimate of a submission: its duration, its price, and warnings about parameters that the model follows only in part. */

import type { Estimate, Warning } from "@darkroom/web";

import type { FieldErrors, FieldName } from "./fields";
import { duration, plainText } from "../formatting";

const TYPING_PAUSE_MILLISECONDS = 500;

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

/** Pure. "About 12 s · 0.0003 USD"; empty if nothing is known. */
export function estimateText({ eta, price, currency }: Estimate): string {
  const seconds = eta?.p50_seconds ?? null;
  const time = seconds === null ? [] : [`About ${duration(seconds)}`];
  const cost = price == null ? [] : [`${price.toPrecision(2)} ${currency ?? ""}`.trim()];
  return [...time, ...cost].join(" · ");
}

/** Requests the estimate of the form's values when typing pauses. A later request replaces an earlier one. */
export class FormEstimate {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #body: string | null = null;

  /** `show` gets null if there is no estimate. */
  constructor(
    private readonly request: (body: string) => Promise<Estimate>,
    private readonly show: (estimate: Estimate | null) => void,
  ) {}

  /** `body` is the body of a submission; null while the fields are invalid. */
  onEdit(body: string | null): void {
    if (body === this.#body) return;
    clearTimeout(this.#timer);
    this.#body = body;
    if (body === null) this.show(null);
    else this.#timer = setTimeout(() => { void this.#update(body); }, TYPING_PAUSE_MILLISECONDS);
  }

  async #update(body: string): Promise<void> {
    // If the request fails, the page shows no warning here; the submitted task still has it.
    const estimate = await this.request(body).catch(() => null);
    if (this.#body === body) this.show(estimate);
  }
}
