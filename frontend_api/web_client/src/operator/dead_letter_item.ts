/** One dead letter: why it died, and what can be done about it. Both ask twice. */

import { announce } from "../announcer";
import { say, setAttribute } from "../dom";
import { ProblemError } from "../problems";
import type { DeadLetter } from "./operations";

export interface DeadLetterActions {
  replay(letterId: string): Promise<void>;
  delete(letterId: string): Promise<void>;
}

const CONFIRMATION_MILLISECONDS = 5_000;
type ActionName = keyof DeadLetterActions;
const LABELS: Readonly<Record<ActionName, readonly [string, string]>> = {
  replay: ["Replay", "Really replay?"],
  delete: ["Delete", "Really delete?"],
};

export class DeadLetterItem {
  readonly element = document.createElement("li");
  readonly #reason = document.createElement("h3");
  readonly #facts = document.createElement("p");
  readonly #message = document.createElement("p");
  readonly #buttons: Readonly<Record<ActionName, HTMLButtonElement>>;
  #confirming: { readonly name: ActionName; readonly timer: ReturnType<typeof setTimeout> } | null = null;

  constructor(private letter: DeadLetter, private readonly actions: DeadLetterActions) {
    this.element.className = "letter";
    this.element.dataset.testid = "dead-letter";
    this.#reason.className = "letter__reason";
    this.#facts.className = "letter__facts";
    this.#message.className = "letter__message";
    this.#message.setAttribute("role", "alert");
    this.#buttons = { replay: this.#button("replay"), delete: this.#button("delete") };
    const row = document.createElement("div");
    row.className = "letter__actions";
    row.append(this.#buttons.replay, this.#buttons.delete);
    this.element.append(this.#reason, this.#facts, row, this.#message);
    this.update(letter);
  }

  update(letter: DeadLetter): void {
    this.letter = letter;
    say(this.#reason, letter.reason);
    say(this.#facts, factsOf(letter).join(" · "));
    this.#buttons.replay.hidden = !letter.is_replayable;
    this.#label();
  }

  #button(name: ActionName): HTMLButtonElement {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "button button--small";
    button.dataset.testid = `${name}-letter-button`;
    button.addEventListener("click", () => { this.#pressed(name); });
    return button;
  }

  #label(): void {
    for (const name of ["replay", "delete"] as const) {
      const isConfirming = this.#confirming?.name === name;
      const label = LABELS[name][isConfirming ? 1 : 0];
      say(this.#buttons[name], label);
      setAttribute(this.#buttons[name], "aria-label", `${label} ${this.letter.reason}`);
      setAttribute(this.#buttons[name], "data-confirming", isConfirming ? "" : null);
    }
  }

  #pressed(name: ActionName): void {
    if (this.#buttons[name].getAttribute("aria-disabled") === "true") return;
    const isConfirmed = this.#confirming?.name === name;
    this.#settle();
    if (isConfirmed) {
      void this.#run(name);
      return;
    }
    this.#confirming = { name, timer: setTimeout(() => { this.#settle(); }, CONFIRMATION_MILLISECONDS) };
    this.#label();
    announce(`Press again to ${name} it`);
  }

  #settle(): void {
    clearTimeout(this.#confirming?.timer);
    this.#confirming = null;
    this.#label();
  }

  async #run(name: ActionName): Promise<void> {
    // Not `disabled`: that would throw the focus away.
    this.#buttons[name].setAttribute("aria-disabled", "true");
    say(this.#message, "");
    try {
      await this.actions[name](this.letter.id);
    } catch (error) {
      say(this.#message, error instanceof ProblemError ? error.message : "That did not work. Try again.");
    } finally {
      this.#buttons[name].removeAttribute("aria-disabled");
    }
  }
}

function factsOf(letter: DeadLetter): string[] {
  const moment = (then: string) => new Date(then).toLocaleString();
  return [
    `died ${moment(letter.died_at)}`,
    letter.task_id === null ? "no task can be made out" : `task ${letter.task_id}`,
    ...(letter.delivery_count === null ? [] : [letter.delivery_count === 1 ? "delivered once" : `delivered ${letter.delivery_count} times`]),
    ...(letter.subscription === null ? [] : [letter.subscription]),
    ...(letter.replayed_at === null ? [] : [`replayed ${moment(letter.replayed_at)}`]),
  ];
}
