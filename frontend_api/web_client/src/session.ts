/** The signed-in user: the local stack's only user, or a user of Firebase Auth. */

import type { Configuration } from "@darkroom/web";
import type { FirebaseApp } from "firebase/app";

import { byId, setText } from "./dom";

export interface Session {
  readonly userId: string;
  /** Return a valid token for the API; null where the API needs none. */
  token(): Promise<string | null>;
}

export interface Auth {
  /** Call back with the session, or null while no user is signed in: at once and after each change. */
  subscribe(onChange: (session: Session | null) => void): void;
  signIn(): Promise<void>;
  signOut(): Promise<void>;
  /** False on the local stack, which has no sign-in. */
  readonly isOffered: boolean;
}

/** Authentication on the local stack: one user, always signed in. */
export function localAuth(userId: string): Auth {
  const session: Session = { userId, token: () => Promise.resolve(null) };
  const doNothing = () => Promise.resolve();
  return { subscribe: (onChange) => { onChange(session); }, signIn: doNothing, signOut: doNothing, isOffered: false };
}

/** Firebase Auth with Google as identity provider. Loads the SDK on first use. */
export async function firebaseAuth(app: FirebaseApp): Promise<Auth> {
  const sdk = await import("firebase/auth");
  const auth = sdk.getAuth(app);
  return {
    subscribe(onChange) {
      sdk.onAuthStateChanged(auth, (user) => {
        onChange(user && { userId: user.uid, token: () => user.getIdToken() });
      });
    },
    async signIn() {
      await sdk.signInWithPopup(auth, new sdk.GoogleAuthProvider());
    },
    signOut: () => sdk.signOut(auth),
    isOffered: true,
  };
}

/** Return the authentication that this configuration asks for. `openApp` is only called for Firebase Auth. */
export async function authFor(configuration: Configuration, openApp: () => Promise<FirebaseApp>): Promise<Auth> {
  if (configuration.firebase === null) return localAuth(configuration.user_id ?? "local");
  return firebaseAuth(await openApp());
}

/** Connect the sign-in and sign-out buttons. */
export function connectAuthButtons(auth: Auth, onSignedOut: () => void): void {
  byId("sign-in", HTMLElement).addEventListener("click", () => {
    auth.signIn().catch(() => { setText(byId("sign-in-message", HTMLElement), "Sign-in failed. Try again."); });
  });
  byId("sign-out", HTMLElement).addEventListener("click", () => void auth.signOut().then(onSignedOut));
}

/** Show the page's content to a signed-in user, and the sign-in button to others. */
export function showSignedIn(auth: Auth, isSignedIn: boolean): void {
  byId("welcome", HTMLElement).hidden = isSignedIn;
  byId("main", HTMLElement).hidden = !isSignedIn;
  byId("connection", HTMLElement).hidden = !isSignedIn;
  byId("sign-out", HTMLElement).hidden = !isSignedIn || !auth.isOffered;
  byId("sign-in", HTMLElement).hidden = false;
  setText(byId("sign-in-message", HTMLElement), "");
}

/** Show a signed-in user why the service does not admit them, instead of the page's content. */
export function showNotAllowed(reason: string): void {
  byId("welcome", HTMLElement).hidden = false;
  byId("sign-in", HTMLElement).hidden = true;
  setText(byId("sign-in-message", HTMLElement), reason);
  for (const id of ["main", "connection", "notice"]) byId(id, HTMLElement).hidden = true;
}
