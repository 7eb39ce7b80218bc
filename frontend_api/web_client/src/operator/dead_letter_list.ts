/** The dead letters, newest first, page after page. Read anew whenever their number changes. */

import { announce } from "../announcer";
import { byId, say } from "../dom";
import { ProblemError } from "../problems";
import { DeadLetterItem } from "./dead_letter_item";
import type { DeadLetter } from "./operations";
import type { OperatorApi } from "./operator_api";

export class DeadLetterList {
  readonly #section = byId("dead-letters", HTMLElement);
  readonly #list = byId("letters", HTMLUListElement);
  readonly #note = byId("letters-note", HTMLElement);
  readonly #more = byId("more-letters", HTMLButtonElement);
  readonly #items = new Map<string, DeadLetterItem>();
  #pages = 1;
  #count: number | null = null;
  /** Of several readings under way only the latest is shown. */
  #reading = 0;

  constructor(private readonly api: OperatorApi) {
    this.#more.addEventListener("click", () => {
      this.#pages += 1;
      void this.#read();
    });
  }

  /** So many are kept now. */
  kept(count: number): void {
    if (count === this.#count) return;
    this.#count = count;
    void this.#read();
  }

  async #read(): Promise<void> {
    const reading = (this.#reading += 1);
    try {
      const letters: DeadLetter[] = [];
      let token: string | null = null;
      for (let page = 0; page < this.#pages && (page === 0 || token !== null); page += 1) {
        const told = await this.api.deadLetters(token);
        letters.push(...told.dead_letters);
        token = told.next_page_token;
      }
      if (reading === this.#reading) this.#show(letters, token !== null);
    } catch (error) {
      if (reading !== this.#reading) return;
      this.#count = null; // asked again with the next figures
      say(this.#note, error instanceof ProblemError ? error.message : "The dead letters could not be read.");
    }
  }

  #show(letters: readonly DeadLetter[], hasMore: boolean): void {
    const wanted = new Set(letters.map(({ id }) => id));
    for (const id of [...this.#items.keys()]) if (!wanted.has(id)) this.#remove(id);
    letters.forEach((letter, place) => {
      const { element } = this.#itemOf(letter);
      const there = this.#list.children[place];
      if (there !== element) this.#list.insertBefore(element, there ?? null);
    });
    this.#more.hidden = !hasMore;
    say(this.#note, letters.length === 0 ? "There are none." : "");
  }

  #itemOf(letter: DeadLetter): DeadLetterItem {
    const known = this.#items.get(letter.id);
    known?.update(letter);
    if (known !== undefined) return known;
    const item = new DeadLetterItem(letter, {
      replay: (id) => this.#done(this.api.replay(id), "Its task has another chance"),
      delete: (id) => this.#done(this.api.delete(id), "The dead letter is deleted"),
    });
    this.#items.set(letter.id, item);
    return item;
  }

  async #done(action: Promise<void>, words: string): Promise<void> {
    await action;
    announce(words);
    await this.#read();
  }

  #remove(id: string): void {
    const element = this.#items.get(id)?.element;
    this.#items.delete(id);
    if (element === undefined) return;
    const hadFocus = element.contains(document.activeElement);
    const neighbour = element.nextElementSibling ?? element.previousElementSibling;
    element.remove();
    if (hadFocus) (neighbour?.querySelector<HTMLElement>("button:not([hidden])") ?? this.#section).focus();
  }
}
