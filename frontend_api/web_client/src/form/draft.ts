/** The chosen model and values, kept in this tab's session storage so that a reload loses nothing. */

import type { FormValues } from "./form_values";

const KEY = "darkroom.draft";

export function saveDraft(values: Partial<FormValues>): void {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(values));
  } catch {
    // Storage is full or blocked: the page works without a draft.
  }
}

export function loadDraft(): Partial<FormValues> {
  try {
    return JSON.parse(sessionStorage.getItem(KEY) ?? "{}") as Partial<FormValues>;
  } catch {
    return {};
  }
}
