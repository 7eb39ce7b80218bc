/** Everything that needs the Firebase SDK. The page loads this module asynchronously. */

import { type FirebaseApp, getApps, initializeApp } from "firebase/app";
import { type Firestore, terminate } from "firebase/firestore";

import type { Configuration } from "./client/configuration";
import { openFirestore, subscribeToFirestore } from "./client/firestore_tasks";
import type { Subscribe } from "./client/task_source";

let opened: { readonly key: string; readonly firestore: Firestore } | null = null;

/** The app with which users sign in. */
export function firebaseApp(configuration: Configuration): FirebaseApp {
  return getApps()[0] ?? initializeApp(appOptions(configuration));
}

/** Open Firestore, again only if its address or the local user has changed. */
export function tasksOf(configuration: Configuration, userId: string): Subscribe {
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
