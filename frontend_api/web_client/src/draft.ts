/** What was typed last in this tab, so that a reload loses nothing. Where storage is refused the page works without. */

import type { FormValues } from "./form_values";

const KEY = "darkroom.draft";

export function remember(values: FormValues): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(values));
  } catch {
    // Private windows and full storage: a draft is a convenience.
  }
}

export function recall(): Partial<FormValues> {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? "{}") as Partial<FormValues>;
  } catch {
    return {};
  }
}
