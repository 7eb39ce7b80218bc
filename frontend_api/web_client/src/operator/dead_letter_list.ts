/** The dead letters, newest first, in pages. They are read again when their number changes. */

import { announce } from "../announcer";
import { byId, setText } from "../dom";
import { KeyedList } from "../keyed_list";
import { errorText } from "../problems";
import { DeadLetterItem } from "./dead_letter_item";
import type { DeadLetter } from "./operations";
import type { OperatorApi } from "./operator_api";

export class DeadLetterList {
  readonly #note = byId("letters-note", HTMLElement);
  readonly #more = byId("more-letters", HTMLButtonElement);
  readonly #items = new KeyedList<DeadLetter>(
    byId("letters", HTMLUListElement),
    ({ id }) => id,
    (letter) => new DeadLetterItem(letter, {
      replay: (id) => this.#finish(this.api.replay(id), "Message replayed"),
      delete: (id) => this.#finish(this.api.delete(id), "Message deleted"),
    }),
    "dead-letters",
  );
  #pages = 1;
  #count: number | null = null;
  /** The number of the latest read. Results of earlier ones are dropped. */
  #latestRead = 0;

  constructor(private readonly api: OperatorApi) {
    this.#more.addEventListener("click", () => {
      this.#pages += 1;
      void this.#read();
    });
  }

  setCount(count: number): void {
    if (count === this.#count) return;
    this.#count = count;
    void this.#read();
  }

  async #read(): Promise<void> {
    const read = (this.#latestRead += 1);
    try {
      const letters: DeadLetter[] = [];
      let token: string | null = null;
      for (let number = 0; number < this.#pages && (number === 0 || token !== null); number += 1) {
        const page = await this.api.deadLetters(token);
        letters.push(...page.dead_letters);
        token = page.next_page_token;
      }
      if (read !== this.#latestRead) return;
      const hadFocus = document.activeElement === this.#more;
      const firstNew = letters.find(({ id }) => this.#items.elementOf(id) === undefined);
      this.#items.show(letters);
      this.#more.hidden = token === null;
      if (hadFocus && token === null) this.#focusLetter(firstNew);
      setText(this.#note, letters.length === 0 ? "There are no dead letters." : "");
    } catch (error) {
      if (read !== this.#latestRead) return;
      this.#count = null; // read again with the next update
      setText(this.#note, errorText(error, "The dead letters could not be read."));
    }
  }

  /** The button that showed the letter is hidden now. */
  #focusLetter(letter: DeadLetter | undefined): void {
    const element = letter === undefined ? undefined : this.#items.elementOf(letter.id);
    (element?.querySelector<HTMLElement>("button:not([hidden])") ?? byId("dead-letters", HTMLElement)).focus();
  }

  async #finish(action: Promise<void>, announcement: string): Promise<void> {
    await action;
    announce(announcement);
    await this.#read();
  }
}
