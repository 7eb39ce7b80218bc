/** The prompts of the listed tasks, to use one again: as a menu, and with Alt and the arrow keys in the prompt's field. */

import { byId, create, find } from "../dom";
import { shortened } from "../formatting";

const MOST_PROMPTS = 20;

/** Pure. Each prompt once, in order. */
export function distinctPrompts(prompts: readonly string[]): string[] {
  return [...new Set(prompts.filter((prompt) => prompt.trim() !== ""))].slice(0, MOST_PROMPTS);
}

export class PromptHistory {
  readonly #menu = byId("prompt-history", HTMLDetailsElement);
  readonly #list = find(this.#menu, "ul", HTMLElement);
  #prompts: readonly string[] = [];
  /** The text before the first step through the history, followed by the prompts. */
  #steps: { readonly texts: readonly string[]; position: number } | null = null;

  constructor(field: HTMLTextAreaElement, private readonly setPrompt: (prompt: string) => void) {
    field.addEventListener("input", () => { this.#steps = null; });
    field.addEventListener("keydown", (event) => {
      if (!event.altKey || (event.key !== "ArrowUp" && event.key !== "ArrowDown")) return;
      event.preventDefault();
      this.#step(field.value, event.key === "ArrowUp" ? 1 : -1);
    });
    this.#menu.addEventListener("click", (event) => {
      const prompt = (event.target as Element).closest<HTMLElement>("[data-prompt]")?.dataset.prompt;
      if (prompt === undefined) return;
      this.#menu.open = false;
      this.setPrompt(prompt);
      field.focus();
    });
    this.#menu.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      this.#menu.open = false;
      find(this.#menu, "summary", HTMLElement).focus();
    });
    // The list may be long: create it when it is opened.
    this.#menu.addEventListener("toggle", () => { if (this.#menu.open) this.#showList(); });
  }

  /** Set the prompts, newest first. */
  set(prompts: readonly string[]): void {
    this.#prompts = distinctPrompts(prompts);
    // Its place is reserved: the list arrives late, and a button that moves under the pointer loses its click.
    this.#menu.classList.toggle("is-empty", this.#prompts.length === 0);
  }

  #step(text: string, direction: 1 | -1): void {
    this.#steps ??= { texts: [text, ...this.#prompts.filter((prompt) => prompt !== text)], position: 0 };
    const next = this.#steps.texts[this.#steps.position + direction];
    if (next === undefined) return;
    this.#steps.position += direction;
    this.setPrompt(next);
  }

  #showList(): void {
    this.#list.replaceChildren(...this.#prompts.map((prompt) => {
      const button = Object.assign(create("button", "prompt-history__item", shortened(prompt, 120)), { type: "button", dir: "auto" });
      button.dataset.prompt = prompt;
      const item = create("li");
      item.append(button);
      return item;
    }));
  }
}
