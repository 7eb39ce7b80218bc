/** The menu of the signed-in user: API keys, and signing out where users sign in. */

import { byId, setText } from "../dom";
import { closeWhenLeft } from "../popover_focus";

export interface AccountActions {
  openKeys(): void;
  signOut(): void;
}

export class AccountMenu {
  readonly #button = byId("account", HTMLButtonElement);
  readonly #menu = byId("account-menu", HTMLElement);

  constructor(actions: AccountActions) {
    this.#menu.addEventListener("click", (event) => {
      const action = (event.target as Element).closest<HTMLElement>("[data-action]")?.dataset.action;
      if (action === undefined) return;
      this.#menu.hidePopover();
      if (action === "keys") actions.openKeys();
      else if (action === "signOut") actions.signOut();
    });
    closeWhenLeft(this.#menu, () => this.#button);
    this.#menu.addEventListener("beforetoggle", () => {
      const { bottom, right } = this.#button.getBoundingClientRect();
      this.#menu.style.top = `${bottom + 4}px`;
      this.#menu.style.right = `${Math.max(8, document.documentElement.clientWidth - right)}px`;
    });
  }

  /** Show the menu of this user. `email` is null on the local stack, where no user signs in. */
  show(email: string | null, hasSignOut: boolean): void {
    this.#button.hidden = false;
    setText(byId("account-name", HTMLElement), email ?? "The local user. No sign-in on this machine.");
    byId("sign-out", HTMLElement).hidden = !hasSignOut;
  }
}
