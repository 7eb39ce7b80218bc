/**
 * Live updates of the user's tasks from one Firestore snapshot listener, newest task first.
 *
 * Each received change is also dispatched as a `darkroom:snapshot` event of the window. This is a public hook for
 * latency measurements (see README.md).
 */

import type { FirebaseApp } from "firebase/app";
import {
  type DocumentChange,
  type Firestore,
  type QuerySnapshot,
  type Unsubscribe,
  collection,
  connectFirestoreEmulator,
  initializeFirestore,
  limit,
  onSnapshot,
  orderBy,
  query,
  where,
} from "firebase/firestore";

import type { Configuration } from "./configuration";
import { type TaskDocument, readTaskDocument } from "./task_document";

export interface SnapshotDetail {
  readonly taskId: string;
  readonly change: "added" | "modified" | "removed";
  readonly status: string;
  readonly phase: string;
  readonly step: number;
  /** The document's `updated_at` in milliseconds since the epoch, with fractions. */
  readonly updatedAt: number;
  /** When the listener was called, by the browser's clock, in the same unit. */
  readonly receivedAt: number;
}

export interface TaskListener {
  onChange(tasks: readonly TaskDocument[], hasMore: boolean): void;
  /** `isLive` is false while the tasks come from the cache because the connection is lost. */
  onConnectionChange(isLive: boolean): void;
  /** Firestore rejected the query. The subscription has ended. */
  onRejected(code: string): void;
}

export function openFirestore(app: FirebaseApp, configuration: Configuration): Firestore {
  const firestore = initializeFirestore(app, {});
  const emulator = configuration.firestore_emulator;
  if (emulator !== null) {
    const token = configuration.mock_user_token ?? { sub: configuration.user_id ?? "local" };
    connectFirestoreEmulator(firestore, emulator.host, emulator.port, { mockUserToken: token });
  }
  return firestore;
}

/** Subscribe to the newest `count` tasks of a user. */
export function subscribeToTasks(
  firestore: Firestore,
  userId: string,
  count: number,
  listener: TaskListener,
): Unsubscribe {
  // Request one more task than is shown, to know whether there are more.
  const newest = query(
    collection(firestore, "tasks"),
    where("user_id", "==", userId),
    orderBy("created_at", "desc"),
    limit(count + 1),
  );
  const known = new Map<string, TaskDocument>();
  return onSnapshot(
    newest,
    { includeMetadataChanges: true },
    (snapshot: QuerySnapshot) => {
      const receivedAt = performance.timeOrigin + performance.now();
      const changes = snapshot.docChanges();
      for (const change of changes) applyChange(known, change, receivedAt);
      listener.onConnectionChange(!snapshot.metadata.fromCache);
      // An empty cache does not mean that the user has no tasks: wait for the server's answer.
      if (snapshot.metadata.fromCache && snapshot.empty && changes.length === 0) return;
      const tasks = snapshot.docs.flatMap((document) => known.get(document.id) ?? []);
      listener.onChange(tasks.slice(0, count), tasks.length > count);
    },
    (error) => { listener.onRejected(error.code); },
  );
}

function applyChange(known: Map<string, TaskDocument>, change: DocumentChange, receivedAt: number): void {
  const task = readTaskDocument(change.doc.id, change.doc.data());
  if (change.type === "removed") known.delete(task.id);
  else known.set(task.id, task);
  const { status, phase, step, updatedAt } = task;
  const detail: SnapshotDetail = { taskId: task.id, change: change.type, status, phase, step, updatedAt, receivedAt };
  window.dispatchEvent(new CustomEvent<SnapshotDetail>("darkroom:snapshot", { detail }));
}
