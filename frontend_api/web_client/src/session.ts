/** Who is using the page: the local stack's user at once, or whoever signs in with Firebase Auth. */

import type { FirebaseApp } from "firebase/app";

import type { Configuration } from "./configuration";

export interface Session {
  readonly userId: string;
  readonly displayName: string | null;
  /** A fresh token for the API; null where the API knows its user without one. */
  token(): Promise<string | null>;
}

export interface SignIn {
  /** Calls back with the session, or null while nobody is signed in, at once and on each change. */
  watch(changed: (session: Session | null) => void): void;
  signIn(): Promise<void>;
  signOut(): Promise<void>;
  /** Whether people sign in here at all. */
  readonly isOffered: boolean;
}

/** On the local stack there is one user, known from the start. */
export function localSignIn(userId: string): SignIn {
  const session: Session = { userId, displayName: null, token: () => Promise.resolve(null) };
  const nothing = () => Promise.resolve();
  return { watch: (changed) => { changed(session); }, signIn: nothing, signOut: nothing, isOffered: false };
}

/** Firebase Auth with Google as the identity provider. The SDK is loaded only where it is used. */
export async function firebaseSignIn(app: FirebaseApp): Promise<SignIn> {
  const auth = await import("firebase/auth");
  const handle = auth.getAuth(app);
  return {
    watch(changed) {
      auth.onAuthStateChanged(handle, (user) => {
        changed(user && { userId: user.uid, displayName: user.displayName, token: () => user.getIdToken() });
      });
    },
    async signIn() {
      await auth.signInWithPopup(handle, new auth.GoogleAuthProvider());
    },
    signOut: () => auth.signOut(handle),
    isOffered: true,
  };
}

export async function signInFor(configuration: Configuration, app: FirebaseApp): Promise<SignIn> {
  if (configuration.firebase === null) return localSignIn(configuration.user_id ?? "local");
  return firebaseSignIn(app);
}
