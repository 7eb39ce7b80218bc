/**
 * The user's tasks from one Firestore snapshot listener, newest task first.
 *
 * Everything that needs the Firebase SDK is here. The SDK is large, so load this module with `import()`.
 */

import { type FirebaseApp, getApps, initializeApp } from "firebase/app";
import {
  type DocumentChange,
  type Firestore,
  type QuerySnapshot,
  collection,
  connectFirestoreEmulator,
  initializeFirestore,
  limit,
  onSnapshot,
  orderBy,
  query,
  terminate,
  where,
} from "firebase/firestore";

import { type TaskDocument, readTaskDocument } from "./task_document.js";
import type { Configuration } from "./configuration.js";
import { withPageHost } from "./page_host.js";
import type { Subscribe, TaskListener, Unsubscribe } from "./task_source.js";

const DENIED_CODES: readonly string[] = ["permission-denied", "unauthenticated"];

let opened: { readonly key: string; readonly firestore: Firestore } | null = null;

/** The app with which users sign in. */
export function firebaseApp(configuration: Configuration): FirebaseApp {
  return getApps()[0] ?? initializeApp(appOptions(configuration));
}

/** Open Firestore, again only if its address or the local user has changed. */
export async function tasksOf(given: Configuration, userId: string): Promise<Subscribe> {
  const configuration = await withPageHost(given);
  const { firestore_emulator, mock_user_token, project_id } = configuration;
  const key = JSON.stringify([project_id, firestore_emulator, mock_user_token]);
  if (opened?.key !== key) {
    const app = opened === null ? firebaseApp(configuration) : initializeApp(appOptions(configuration), key);
    if (opened !== null) void terminate(opened.firestore);
    opened = { key, firestore: openFirestore(app, configuration) };
  }
  const { firestore } = opened;
  return (count, listener) => subscribeToFirestore(firestore, userId, count, listener);
}

function appOptions(configuration: Configuration): { projectId: string; apiKey: string } {
  return configuration.firebase ?? { projectId: configuration.project_id, apiKey: "emulator" };
}

function openFirestore(app: FirebaseApp, configuration: Configuration): Firestore {
  const firestore = initializeFirestore(app, {});
  const emulator = configuration.firestore_emulator;
  if (emulator !== null) {
    const token = configuration.mock_user_token ?? { sub: configuration.user_id ?? "local" };
    connectFirestoreEmulator(firestore, emulator.host, emulator.port, { mockUserToken: token });
  }
  return firestore;
}

/** Subscribe to the newest `count` tasks of a user. */
function subscribeToFirestore(
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
      for (const change of changes) applyChange(known, change, receivedAt, listener);
      listener.onConnectionChange(!snapshot.metadata.fromCache);
      // An empty cache does not mean that the user has no tasks: wait for the server's answer.
      if (snapshot.metadata.fromCache && snapshot.empty && changes.length === 0) return;
      const tasks = snapshot.docs.flatMap((document) => known.get(document.id) ?? []);
      listener.onChange(tasks.slice(0, count), tasks.length > count);
    },
    (error) => { listener.onRejected(error.code, DENIED_CODES.includes(error.code)); },
  );
}

function applyChange(
  known: Map<string, TaskDocument>,
  change: DocumentChange,
  receivedAt: number,
  listener: TaskListener,
): void {
  const task = readTaskDocument(change.doc.id, change.doc.data());
  if (change.type === "removed") known.delete(task.id);
  else known.set(task.id, task);
  listener.onDocument?.(change.type, task, receivedAt);
}
