/** Everything that needs the Firebase SDK. The page loads this module asynchronously. */

import { initializeApp } from "firebase/app";
import type { Unsubscribe } from "firebase/firestore";

import type { Configuration } from "./configuration";
import { type TaskListener, openFirestore, subscribeToTasks } from "./live_tasks";
import { type Auth, authFor } from "./session";

export interface FirebaseSession {
  readonly auth: Auth;
  readonly subscribeToTasks: (userId: string, count: number, listener: TaskListener) => Unsubscribe;
}

export async function open(configuration: Configuration): Promise<FirebaseSession> {
  const app = initializeApp(configuration.firebase ?? { projectId: configuration.project_id, apiKey: "emulator" });
  // The emulator's address must be set before anything else uses Firestore.
  const firestore = openFirestore(app, configuration);
  return {
    auth: await authFor(configuration, () => Promise.resolve(app)),
    subscribeToTasks: (userId, count, listener) => subscribeToTasks(firestore, userId, count, listener),
  };
}
