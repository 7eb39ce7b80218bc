/** Warnings about parameters that the model follows only in part, as the API returns them. */

import type { FieldErrors, FieldName } from "../catalog";
import { plainText } from "../formatting";

export interface Warning {
  readonly pointer: string;
  readonly detail: string;
}

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

/** Requests the warnings of the form's values when typing pauses. A later request replaces an earlier one. */
export class FormWarnings {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #body: string | null = null;

  constructor(
    private readonly request: (body: string) => Promise<readonly Warning[]>,
    private readonly show: (fields: FieldErrors) => void,
  ) {}

  /** `body` is the body of a submission; null while the fields are invalid. */
  onEdit(body: string | null): void {
    if (body === this.#body) return;
    clearTimeout(this.#timer);
    this.#body = body;
    if (body === null) this.show({});
    else this.#timer = setTimeout(() => { void this.#update(body); }, TYPING_PAUSE_MILLISECONDS);
  }

  async #update(body: string): Promise<void> {
    // If the request fails, the page shows no warning here; the submitted task still has it.
    const warnings = await this.request(body).catch(() => []);
    if (this.#body === body) this.show(warningsByField(warnings));
  }
}
