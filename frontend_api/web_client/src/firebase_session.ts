/** Everything that needs the Firebase SDK, in one module, so that it can be loaded beside the page. */

import { initializeApp } from "firebase/app";
import type { Unsubscribe } from "firebase/firestore";

import type { Configuration } from "./configuration";
import { type Watcher, openFirestore, watchTasks } from "./live_tasks";
import { type SignIn, signInFor } from "./session";

export interface FirebaseSession {
  readonly signIn: SignIn;
  watchTasks(userId: string, count: number, watcher: Watcher): Unsubscribe;
}

export async function open(configuration: Configuration): Promise<FirebaseSession> {
  const app = initializeApp(configuration.firebase ?? { projectId: configuration.project_id, apiKey: "emulator" });
  // The emulator must be named before anything else touches Firestore.
  const firestore = openFirestore(app, configuration);
  return {
    signIn: await signInFor(configuration, app),
    watchTasks: (userId, count, watcher) => watchTasks(firestore, userId, count, watcher),
  };
}
