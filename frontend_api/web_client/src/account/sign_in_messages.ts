/** The texts about a failed sign-in. Pure. */

const MESSAGES: Readonly<Record<string, string>> = {
  // The user closed the window.
  "auth/popup-closed-by-user": "",
  "auth/cancelled-popup-request": "",
  "auth/user-cancelled": "",
  "auth/popup-blocked": "The browser blocked the sign-in window. Permit pop-ups for this page, then try again.",
  "auth/network-request-failed": "Google is unreachable. Check your connection, then try again.",
  "auth/user-disabled": "This account is disabled. Ask the operator of this service.",
  "auth/unauthorized-domain": "Sign-in is not set up for this address. Ask the operator of this service.",
  "auth/too-many-requests": "Too many attempts. Wait a minute, then try again.",
};

/** The text for an error of Firebase's SDK; empty if the user cancelled. */
export function signInMessage(error: unknown): string {
  const code = typeof error === "object" && error !== null && "code" in error ? error.code : null;
  return (typeof code === "string" ? MESSAGES[code] : undefined) ?? "Sign-in failed. Try again.";
}
