/** A dead letter: why the message was not processed, and the buttons to replay or delete it. */

import { announce } from "../announcer";
import { Confirmation } from "../confirmation";
import { create, setAttribute, setText } from "../dom";
import { errorText } from "../problems";
import type { DeadLetter } from "./operations";

export interface DeadLetterActions {
  replay(letterId: string): Promise<void>;
  delete(letterId: string): Promise<void>;
}

type ActionName = keyof DeadLetterActions;
const LABELS: Readonly<Record<ActionName, readonly [string, string]>> = {
  replay: ["Replay", "Confirm replay"],
  delete: ["Delete", "Confirm delete"],
};

export class DeadLetterItem {
  readonly element = create("li", "letter");
  readonly #reason = create("h3", "letter__reason");
  readonly #facts = create("p", "letter__facts");
  readonly #message = create("p", "letter__message");
  readonly #buttons: Readonly<Record<ActionName, HTMLButtonElement>>;
  readonly #confirmation = new Confirmation<ActionName>(() => { this.#showLabels(); });

  constructor(private letter: DeadLetter, private readonly actions: DeadLetterActions) {
    this.element.dataset.testid = "dead-letter";
    this.#message.role = "alert";
    this.#buttons = { replay: this.#createButton("replay"), delete: this.#createButton("delete") };
    const row = create("div", "letter__actions");
    row.append(this.#buttons.replay, this.#buttons.delete);
    this.element.append(this.#reason, this.#facts, row, this.#message);
  }

  update(letter: DeadLetter): void {
    this.letter = letter;
    setText(this.#reason, letter.reason);
    setText(this.#facts, factsOf(letter).join(" · "));
    this.#buttons.replay.hidden = !letter.is_replayable;
    this.#showLabels();
  }

  #createButton(name: ActionName): HTMLButtonElement {
    const button = create("button", "button button--small");
    button.type = "button";
    button.dataset.testid = `${name}-letter-button`;
    button.addEventListener("click", () => {
      if (button.getAttribute("aria-disabled") === "true") return;
      if (this.#confirmation.press(name)) void this.#run(name);
      else announce(`Press again to ${name} the message.`);
    });
    return button;
  }

  #showLabels(): void {
    for (const name of ["replay", "delete"] as const) {
      const button = this.#buttons[name];
      const isPending = this.#confirmation.isPending(name);
      const label = LABELS[name][isPending ? 1 : 0];
      setText(button, label);
      setAttribute(button, "aria-label", `${label}: ${this.letter.reason}`);
      setAttribute(button, "data-confirming", isPending ? "" : null);
    }
  }

  async #run(name: ActionName): Promise<void> {
    // The attribute `disabled` would remove the focus from the button.
    this.#buttons[name].setAttribute("aria-disabled", "true");
    setText(this.#message, "");
    try {
      await this.actions[name](this.letter.id);
    } catch (error) {
      setText(this.#message, errorText(error));
    } finally {
      this.#buttons[name].removeAttribute("aria-disabled");
    }
  }
}

function factsOf(letter: DeadLetter): string[] {
  const dateAndTime = (timestamp: string) => new Date(timestamp).toLocaleString();
  const { delivery_count: deliveries } = letter;
  return [
    `received ${dateAndTime(letter.died_at)}`,
    letter.task_id === null ? "unknown task" : `task ${letter.task_id}`,
    ...(deliveries === null ? [] : [deliveries === 1 ? "1 delivery" : `${deliveries} deliveries`]),
    ...(letter.subscription === null ? [] : [letter.subscription]),
    ...(letter.replayed_at === null ? [] : [`replayed ${dateAndTime(letter.replayed_at)}`]),
  ];
}
