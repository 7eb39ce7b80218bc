/** The menu that reuses parts of a task: its prompt, its seed, or all of its settings. */

import type { TaskDocument } from "@darkroom/web";

import { byId, find, setAttribute } from "./dom";
import { closeWhenLeft } from "./popover_focus";

/** All settings; the prompt; the seed; all but the seed; more images with random seeds. */
export type ReuseKind = "all" | "prompt" | "seed" | "remix" | "more";

export class ReuseMenu {
  readonly #menu = byId("reuse-menu", HTMLElement);
  #task: TaskDocument | null = null;
  #button: HTMLButtonElement | null = null;

  constructor(reuse: (kind: ReuseKind, task: TaskDocument) => void) {
    this.#menu.addEventListener("click", (event) => {
      const kind = (event.target as Element).closest<HTMLElement>("[data-reuse]")?.dataset.reuse;
      if (kind === undefined || this.#task === null) return;
      const button = this.#button;
      this.#menu.hidePopover();
      button?.focus();
      reuse(kind as ReuseKind, this.#task);
    });
    closeWhenLeft(this.#menu, () => this.#button);
    this.#menu.addEventListener("toggle", ({ newState }) => {
      if (this.#button !== null) setAttribute(this.#button, "aria-expanded", newState === "open" ? "true" : null);
    });
    this.#menu.addEventListener("keydown", (event) => {
      const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
      if (step === undefined) return;
      event.preventDefault();
      const items = [...this.#menu.querySelectorAll("button")];
      const position = items.findIndex((item) => item === document.activeElement);
      items[(position + step + items.length) % items.length]?.focus();
    });
  }

  /** Open the menu above the button, or below it where there is more space. */
  open(task: TaskDocument, button: HTMLButtonElement): void {
    this.#task = task;
    this.#button = button;
    // With its source, the Tab key leads from the menu to what follows the button.
    this.#menu.showPopover({ source: button });
    const anchor = button.getBoundingClientRect();
    const { width, height } = this.#menu.getBoundingClientRect();
    const isAbove = anchor.top > innerHeight - anchor.bottom;
    this.#menu.style.left = `${Math.max(8, Math.min(anchor.left, innerWidth - width - 8))}px`;
    this.#menu.style.top = `${isAbove ? Math.max(8, anchor.top - height - 4) : anchor.bottom + 4}px`;
    find(this.#menu, "button", HTMLButtonElement).focus();
  }
}
