/** What every source of tasks offers: Firestore's listener and the API's event stream. */

import type { TaskDocument } from "./task_document.js";

export type SourceName = "firestore" | "api";

export interface TaskListener {
  /** The newest tasks, newest first. */
  onChange(tasks: readonly TaskDocument[], hasMore: boolean): void;
  /** False while the shown tasks may be outdated because the connection is lost. */
  onConnectionChange(isLive: boolean): void;
  /** The server rejected the subscription, which has ended. `isDenied`: the user may not read the tasks. */
  onRejected(reason: string, isDenied: boolean): void;
  /** Called for each received change, for latency measurements. */
  onDocument?(change: "added" | "modified" | "removed", task: TaskDocument, receivedAt: number): void;
}

export type Unsubscribe = () => void;

/** Subscribe to the newest `count` tasks of the signed-in user. */
export type Subscribe = (count: number, listener: TaskListener) => Unsubscribe;
