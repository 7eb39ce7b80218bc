/** The signed-in user: the local stack's only user, or a user of Firebase Auth. */

import type { Configuration } from "@darkroom/web";
import type { FirebaseApp } from "firebase/app";

import { deletePlace } from "./list_place";
import { attempt } from "./storage";

/** The id of the signed-in user in the browser's storage, for pages that load no authentication. */
const USER_KEY = "darkroom.user";

export interface Session {
  readonly userId: string;
  /** null on the local stack. */
  readonly email: string | null;
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

/**
 * Call back with the session, or null while no user is signed in: at once and after a change.
 *
 * A page has one user. When that user has signed out, also in another tab, or is another one, `leave` is called instead.
 */
export function followSession(auth: Auth, onSession: (session: Session | null) => void, leave = loadAgain): void {
  let current: Session | null = null;
  auth.subscribe((session) => {
    if (auth.isOffered) storeUser(session?.userId ?? null);
    if (current !== null && session?.userId !== current.userId) {
      leave();
      return;
    }
    current = session;
    onSession(session);
  });
}

/** Call `leave` when a page of this browser gets another user, or none. For a page that loads no authentication. */
export function followOtherPages(leave = loadAgain): void {
  const first = storedUser();
  const check = () => { if (storedUser() !== first) leave(); };
  addEventListener("storage", check);
  // After Back, the browser may show a page as it was left.
  addEventListener("pageshow", check);
}

function storedUser(): string | null {
  return attempt(() => localStorage.getItem(USER_KEY));
}

function storeUser(id: string | null): void {
  attempt(() => { if (id === null) localStorage.removeItem(USER_KEY); else localStorage.setItem(USER_KEY, id); });
}

/** Load the page again, which removes everything of its user. Until the new one arrives, nothing is visible. */
function loadAgain(): void {
  document.body.hidden = true;
  deletePlace();
  // The address may name a picture of the user, and so may those to which Forward leads: a new entry removes them.
  const address = location.pathname + location.search;
  history.replaceState(null, "", address);
  history.pushState(null, "", address);
  location.reload();
}

/** Authentication on the local stack: one user, always signed in. */
export function localAuth(userId: string): Auth {
  const session: Session = { userId, email: null, token: () => Promise.resolve(null) };
  const doNothing = () => Promise.resolve();
  return { subscribe: (onChange) => { onChange(session); }, signIn: doNothing, signOut: doNothing, isOffered: false };
}

/** Return the authentication that this configuration asks for. `openApp` is only called for Firebase Auth. */
export async function authFor(configuration: Configuration, openApp: () => Promise<FirebaseApp>): Promise<Auth> {
  if (configuration.firebase === null) return localAuth(configuration.user_id ?? "local");
  const [{ firebaseAuth }, app] = await Promise.all([import("./account/firebase_auth"), openApp()]);
  return firebaseAuth(app);
}
