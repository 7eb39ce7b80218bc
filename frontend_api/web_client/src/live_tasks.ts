/**
 * The user's tasks, live: one Firestore query, newest first, through `onSnapshot`. Nothing here polls.
 *
 * Every change that arrives is also told to the window as a `darkroom:snapshot` event, a public hook for whoever
 * measures how long a write takes to reach a browser (see README.md).
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
  /** The document's `updated_at`, milliseconds since the epoch with fractions. */
  readonly updatedAt: number;
  /** When the listener was called, by the browser's clock, milliseconds since the epoch with fractions. */
  readonly receivedAt: number;
}

export interface Watcher {
  changed(tasks: readonly TaskDocument[], hasMore: boolean): void;
  /** Whether what is shown is confirmed by the server, or only remembered while the connection is away. */
  connected(isLive: boolean): void;
  /** The query was refused and will not come back by itself. */
  refused(code: string): void;
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

/** Watch the newest `count` tasks of a user until the returned function is called. */
export function watchTasks(firestore: Firestore, userId: string, count: number, watcher: Watcher): Unsubscribe {
  // One more than is shown tells whether "show more" has anything to show.
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
      for (const change of changes) remember(known, change, receivedAt);
      watcher.connected(!snapshot.metadata.fromCache);
      // An empty cache is not an empty list: wait until the server has spoken.
      if (snapshot.metadata.fromCache && snapshot.empty && changes.length === 0) return;
      const tasks = snapshot.docs.flatMap((document) => known.get(document.id) ?? []);
      watcher.changed(tasks.slice(0, count), tasks.length > count);
    },
    (error) => {
      watcher.refused(error.code);
    },
  );
}

function remember(known: Map<string, TaskDocument>, change: DocumentChange, receivedAt: number): void {
  const task = readTaskDocument(change.doc.id, change.doc.data());
  if (change.type === "removed") known.delete(task.id);
  else known.set(task.id, task);
  const { status, phase, step, updatedAt } = task;
  const detail: SnapshotDetail = { taskId: task.id, change: change.type, status, phase, step, updatedAt, receivedAt };
  window.dispatchEvent(new CustomEvent<SnapshotDetail>("darkroom:snapshot", { detail }));
}
