/** Sign-in and sign-out on the operator page. */

import { signInMessage } from "../account/sign_in_messages";
import { byId, setText } from "../dom";
import type { Auth } from "../session";

/** Connect the sign-in and sign-out buttons. */
export function connectAuthButtons(auth: Auth): void {
  byId("sign-in", HTMLElement).addEventListener("click", () => {
    auth.signIn().catch((error: unknown) => { setText(byId("sign-in-message", HTMLElement), signInMessage(error)); });
  });
  byId("sign-out", HTMLElement).addEventListener("click", () => void auth.signOut());
}

/** Show the page's content to a signed-in user, and the sign-in button to others. */
export function showSignedIn(auth: Auth, isSignedIn: boolean): void {
  const welcome = byId("welcome", HTMLElement);
  const hadFocus = welcome.contains(document.activeElement);
  welcome.hidden = isSignedIn;
  byId("main", HTMLElement).hidden = !isSignedIn;
  if (hadFocus && isSignedIn) byId("alerts", HTMLElement).focus();
  byId("connection", HTMLElement).hidden = !isSignedIn;
  byId("sign-out", HTMLElement).hidden = !isSignedIn || !auth.isOffered;
  setText(byId("sign-in-message", HTMLElement), "");
}
