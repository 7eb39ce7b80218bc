/** One row of a list of links or keys, with a button that revokes it after a second press. */

import { Confirmation } from "./confirmation";
import { create, setText } from "./dom";
import type { ItemView } from "./keyed_list";

export interface RevocableText {
  readonly title: string;
  /** Facts below the title. */
  readonly facts: string;
}

export class RevocableItem<Item> implements ItemView<Item> {
  readonly element = create("li", "revocable");
  readonly #title = create("span", "revocable__title");
  readonly #facts = create("span", "revocable__facts");
  readonly #button = create("button", "button button--small");
  readonly #confirmation: Confirmation<"revoke">;

  constructor(item: Item, private readonly textOf: (item: Item) => RevocableText, revoke: (item: Item) => void) {
    this.#button.type = "button";
    this.#title.dir = "auto";
    const text = create("div", "revocable__text");
    text.append(this.#title, this.#facts);
    this.element.append(text, this.#button);
    this.#confirmation = new Confirmation(() => { this.#label(); });
    this.#button.addEventListener("click", () => {
      if (this.#confirmation.press("revoke")) revoke(item);
    });
    this.#label();
  }

  update(item: Item): void {
    const { title, facts } = this.textOf(item);
    setText(this.#title, title);
    setText(this.#facts, facts);
    this.#label();
  }

  dispose(): void {
    this.#confirmation.reset();
  }

  #label(): void {
    const isPending = this.#confirmation.isPending("revoke");
    setText(this.#button, isPending ? "Revoke permanently?" : "Revoke");
    // Several buttons have this text.
    this.#button.setAttribute("aria-label", `${isPending ? "Revoke permanently" : "Revoke"}: ${this.#title.textContent}`);
  }
}
