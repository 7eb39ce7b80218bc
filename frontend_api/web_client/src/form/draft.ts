/**
 * The chosen model and values, so that a reload or a closed tab loses nothing.
 *
 * Each tab has its own draft. A new tab starts with the draft that was saved last.
 */

import { attempt } from "../storage";
import type { FormValues } from "./form_values";

const KEY = "darkroom.draft";

export function saveDraft(values: Partial<FormValues>): void {
  attempt(() => { sessionStorage.setItem(KEY, JSON.stringify(values)); });
  attempt(() => { localStorage.setItem(KEY, JSON.stringify(values)); });
}

export function loadDraft(): Partial<FormValues> {
  const saved = attempt(() => sessionStorage.getItem(KEY)) ?? attempt(() => localStorage.getItem(KEY)) ?? "{}";
  return attempt(() => JSON.parse(saved) as Partial<FormValues>) ?? {};
}

/** Remove the draft, for another user. */
export function clearDraft(): void {
  attempt(() => { sessionStorage.removeItem(KEY); });
  attempt(() => { localStorage.removeItem(KEY); });
}
