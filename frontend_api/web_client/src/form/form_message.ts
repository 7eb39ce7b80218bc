/** The message beside the submit button: a result, or the number of fields with an error. */

import { byId, setText } from "../dom";

export class FormMessage {
  readonly #text = byId("form-message", HTMLElement);
  /** Leads to the list, which is below the form on narrow screens. */
  readonly #link = byId("show-tasks", HTMLElement);
  #isCounting = false;

  show(message: string, isError = false): void {
    this.#isCounting = false;
    this.#link.hidden = true;
    this.#text.classList.toggle("is-error", isError);
    setText(this.#text, message);
  }

  /** A task was accepted. */
  showQueued(message: string, isWarning = false): void {
    this.show(message, isWarning);
    this.#link.hidden = false;
  }

  /** Show the number of fields that need attention, and its changes, until another message or none is left. */
  startCounting(count: number): void {
    this.#isCounting = true;
    this.updateCount(count);
  }

  updateCount(count: number): void {
    if (!this.#isCounting) return;
    this.show(count === 0 ? "" : `${count} ${count === 1 ? "field needs" : "fields need"} attention.`, count > 0);
    this.#isCounting = count > 0;
  }
}
