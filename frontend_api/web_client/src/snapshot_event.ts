/** The event `darkroom:snapshot` of the window, a public hook for latency measurements (see README.md). */

import type { TaskDocument } from "@darkroom/web";

export interface SnapshotDetail {
  readonly taskId: string;
  readonly change: "added" | "modified" | "removed";
  readonly status: string;
  readonly phase: string;
  readonly step: number;
  /** The document's `updated_at` in milliseconds since the epoch, with fractions; 0 if it came from the API. */
  readonly updatedAt: number;
  /** When the page received the change, by the browser's clock, in the same unit. */
  readonly receivedAt: number;
}

export function dispatchSnapshot(change: SnapshotDetail["change"], task: TaskDocument, receivedAt: number): void {
  const { id: taskId, status, phase, step, updatedAt } = task;
  const detail: SnapshotDetail = { taskId, change, status, phase, step, updatedAt, receivedAt };
  window.dispatchEvent(new CustomEvent<SnapshotDetail>("darkroom:snapshot", { detail }));
}
