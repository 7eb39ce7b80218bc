/**
 * The chosen model and values, so that a reload or a closed tab loses nothing.
 *
 * Each tab has its own draft. A new tab starts with the draft that was saved last. Only the user who made a draft gets it.
 */

import { attempt } from "../storage";
import type { FormValues } from "./form_values";

interface Draft {
  readonly userId: string;
  readonly values: Partial<FormValues>;
}

const KEY = "darkroom.draft";
/** The tab's own draft comes first. A blocked storage throws an error when it is accessed. */
const STORAGES = [() => sessionStorage, () => localStorage];

export function saveDraft(userId: string, values: Partial<FormValues>): void {
  const draft: Draft = { userId, values };
  for (const storage of STORAGES) attempt(() => { storage().setItem(KEY, JSON.stringify(draft)); });
}

export function loadDraft(userId: string): Partial<FormValues> {
  return STORAGES.map(read).find((draft) => draft?.userId === userId)?.values ?? {};
}

/** Remove the drafts of all users but this one; null: no user is signed in. */
export function removeOtherDrafts(userId: string | null): void {
  for (const storage of STORAGES) if (read(storage)?.userId !== userId) attempt(() => { storage().removeItem(KEY); });
}

function read(storage: () => Storage): Draft | null {
  return attempt(() => JSON.parse(storage().getItem(KEY) ?? "null") as Draft | null);
}
