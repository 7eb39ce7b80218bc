/** The message beside the submit button: a result, or the number of fields with an error. */

import { byId, setText } from "../dom";

/** The message about a task that an earlier submission created, whose response was lost or has not arrived yet. */
export const CREATED_BEFORE = "An earlier try already created this task. Press again to create another one.";

export class FormMessage {
  readonly #text = byId("form-message", HTMLElement);
  /** Leads to the list, which is below the form on narrow screens. */
  readonly #link = byId("show-tasks", HTMLElement);
  #isCounting = false;
  #cause: string | null = null;

  /** A message with a cause is shown until another message, or until the cause is settled. */
  show(message: string, isError = false, cause: string | null = null): void {
    this.#isCounting = false;
    this.#cause = cause;
    this.#link.hidden = true;
    this.#text.classList.toggle("is-error", isError);
    setText(this.#text, message);
  }

  /** A task was accepted. A warning has a cause. */
  showQueued(message: string, cause: string | null = null): void {
    this.show(message, cause !== null, cause);
    this.#link.hidden = false;
  }

  /** Remove the message if this is its cause. */
  settle(cause: string): void {
    if (cause === this.#cause) this.show("");
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
