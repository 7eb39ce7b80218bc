/** Warnings of a request that the model obeys only in part: as the API returns them, at the fields that they are about. */

import type { FieldErrors, FieldName } from "./catalog";

export interface Warning {
  readonly code: string;
  readonly pointer: string;
  readonly detail: string;
}

const PAUSE_MILLISECONDS = 500;

/** Pure. All warnings about one field become one text. */
export function warningsByField(warnings: readonly Warning[]): FieldErrors {
  const fields: FieldErrors = {};
  for (const { pointer, detail } of warnings) {
    const name = (pointer.split("/")[1] ?? "") as FieldName;
    fields[name] = fields[name] === undefined ? detail : `${fields[name]} ${detail}`;
  }
  return fields;
}

/** Asks for the warnings of what is typed, once typing pauses. A later request makes earlier answers void. */
export class FormWarnings {
  #timer: ReturnType<typeof setTimeout> | undefined;
  #asked: string | null = null;

  constructor(
    private readonly ask: (body: string) => Promise<readonly Warning[]>,
    private readonly show: (fields: FieldErrors) => void,
  ) {}

  /** `body` is that of a submission; null while the fields do not make one. */
  edited(body: string | null): void {
    if (body === this.#asked) return;
    clearTimeout(this.#timer);
    this.#asked = body;
    if (body === null) this.show({});
    else this.#timer = setTimeout(() => { void this.#answer(body); }, PAUSE_MILLISECONDS);
  }

  async #answer(body: string): Promise<void> {
    // Without an answer there is no warning now: the task has it anyway.
    const warnings = await this.ask(body).catch(() => []);
    if (this.#asked === body) this.show(warningsByField(warnings));
  }
}
