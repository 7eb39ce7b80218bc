/** The sign-in page, and the page of a user without access. */

import { ProblemError } from "@darkroom/web";

import { byId, setText } from "../dom";
import { errorText } from "../problems";
import type { Auth, Session } from "../session";
import type { AccountMenu } from "./account_menu";
import { signInMessage } from "./sign_in_messages";

interface Welcome {
  readonly line: string;
  readonly text: string;
  /** Label of the button that signs in, or chooses another account. */
  readonly signIn: string;
  readonly hasRetry: boolean;
}

const SIGN_IN: Welcome = { line: "Describe an image and watch it being generated.", text: "", signIn: "Sign in with Google", hasRetry: false };

/** What the page shows instead of its content. */
export class SignInPages {
  readonly #welcome = byId("welcome", HTMLElement);
  readonly #line = byId("welcome-line", HTMLElement);
  readonly #signIn = byId("sign-in", HTMLButtonElement);
  readonly #retry = byId("retry-access", HTMLButtonElement);
  readonly #message = byId("sign-in-message", HTMLElement);
  #auth: Auth | null = null;

  /** `tryAccess` shows the page's content, or throws while the user has no access. */
  constructor(private readonly menu: AccountMenu, private readonly tryAccess: () => Promise<void>) {
    this.#signIn.addEventListener("click", () => void this.#chooseAccount());
    this.#retry.addEventListener("click", () => void this.#tryAgain());
  }

  /** Show the page's content to a signed-in user, and the sign-in page to others. */
  show(auth: Auth, session: Session | null): void {
    const hadFocus = this.#welcome.contains(document.activeElement);
    this.#auth = auth;
    this.#setContentHidden(session === null);
    if (session === null) {
      this.#show(SIGN_IN);
    } else {
      this.#welcome.hidden = true;
      this.menu.show(session.email, auth.isOffered);
      if (hadFocus) byId("prompt", HTMLElement).focus();
    }
  }

  /** Show a signed-in user why the service does not admit them. */
  showNotAllowed(reason: string): void {
    this.#setContentHidden(true);
    byId("notice", HTMLElement).hidden = true;
    this.#show({ line: "You don't have access", text: reason, signIn: "Use another account", hasRetry: true });
    this.#line.focus();
  }

  async #chooseAccount(): Promise<void> {
    setText(this.#message, "");
    try {
      await this.#auth?.signIn();
    } catch (error) {
      setText(this.#message, signInMessage(error));
      return;
    }
    // The same account again: the session has not changed.
    if (!this.#retry.hidden && !this.#welcome.hidden) await this.#tryAgain();
  }

  async #tryAgain(): Promise<void> {
    setText(this.#message, "Checking…");
    try {
      await this.tryAccess();
      setText(this.#message, "");
    } catch (error) {
      const hasNoAccess = error instanceof ProblemError && error.problem.code === "user_not_allowed";
      setText(this.#message, hasNoAccess ? "This account still has no access." : errorText(error));
    }
  }

  #show({ line, text, signIn, hasRetry }: Welcome): void {
    this.#welcome.hidden = false;
    setText(this.#line, line);
    setText(byId("welcome-text", HTMLElement), text);
    setText(this.#signIn, signIn);
    setText(this.#message, "");
    this.#retry.hidden = !hasRetry;
  }

  #setContentHidden(isHidden: boolean): void {
    for (const id of ["main", "connection"]) byId(id, HTMLElement).hidden = isHidden;
  }
}
