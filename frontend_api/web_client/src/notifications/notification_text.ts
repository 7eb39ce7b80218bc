/** What a notification reports, and why the browser shows none. Pure. */

import type { TaskDocument } from "@darkroom/web";

import { counted } from "../bulk/bulk";
import { shortened } from "../formatting";

export interface NotificationText {
  readonly title: string;
  readonly body: string;
  /** The task whose picture a click opens; null: none has one. */
  readonly task: TaskDocument | null;
}

/** The text for tasks that have finished, the last one first; null if the user has cancelled all of them. */
export function notificationOf(finished: readonly TaskDocument[]): NotificationText | null {
  const [done, failed] = (["completed", "failed"] as const).map((wanted) => finished.filter(({ status }) => status === wanted).length);
  const last = finished.find(({ status }) => status === "completed" || status === "failed");
  if (last === undefined) return null;
  const parts = [...(done ? [`${counted(done, "task")} done`] : []), ...(failed ? [`${done ? failed : counted(failed, "task")} failed`] : [])];
  return { title: parts.join(", "), body: shortened(last.prompt, 120), task: finished.find(({ images }) => images.length > 0) ?? null };
}

/** Why notifications cannot be shown: `permission` is the browser's, null where it offers none. */
export function refusalText(permission: NotificationPermission | null, isSecure: boolean): string {
  if (!isSecure) return "Browsers permit notifications only over https.";
  if (permission === null) return "This browser has no notifications for pages.";
  if (permission === "denied") return "The browser has denied notifications for this page. Permit them in the browser's settings for this site, then try again.";
  return permission === "granted" ? "" : "The browser has not permitted notifications. Try again.";
}
