/**
 * The checkboxes of the cards, and the mode in which a click on a card selects it.
 *
 * Shift extends the selection from the last card, with the mouse as with the keyboard. Enter leads from a checkbox to
 * the actions; Escape leaves the mode.
 */

import type { TaskDocument } from "@darkroom/web";

import { announce } from "../announcer";
import { counted } from "../bulk/bulk";
import { byId, find, setAttribute } from "../dom";
import { isTyping } from "../shortcuts";
import { Selection } from "./selection";

const BOX = ".task__select input";

export class SelectMode {
  readonly #list = byId("task-list", HTMLElement);
  readonly #button = byId("select-mode", HTMLButtonElement);
  readonly #selection = new Selection();
  #isOn = false;

  /** `tasks` returns those of the list. `onChange` is called with the selected ones, and with null after the mode. */
  constructor(private readonly tasks: () => readonly TaskDocument[], private readonly onChange: (selected: readonly TaskDocument[] | null) => void) {
    this.#button.addEventListener("click", () => {
      if (this.#isOn) this.leave();
      else this.#enter();
    });
    this.#list.addEventListener("change", (event) => {
      // The state of a checkbox follows the selection, not the click.
      if ((event.target as Element).matches(BOX)) this.#show();
    });
    // Before the click reaches an image, which would open it.
    this.#list.addEventListener("click", (event) => { this.#onClick(event); }, { capture: true });
    this.#list.addEventListener("keydown", (event) => { this.#onListKey(event); });
    // Some browsers click when the key is released.
    this.#list.addEventListener("keyup", (event) => {
      if (event.key === " " && event.shiftKey && (event.target as Element).matches(BOX)) event.preventDefault();
    });
    addEventListener("keydown", (event) => { this.#onPageKey(event); });
  }

  get #selected(): readonly TaskDocument[] {
    return this.tasks().filter(({ id }) => this.#selection.has(id));
  }

  /** The tasks in the list have changed. */
  refresh(): void {
    if (!this.#isOn) return;
    this.#selection.retain(this.#order);
    this.#show();
  }

  selectAll(): void {
    this.#selection.selectAll(this.#order);
    this.#show();
    this.#announceCount();
  }

  leave(): void {
    if (!this.#isOn) return;
    this.#isOn = false;
    this.#selection.clear();
    const keepsFocus = this.#list.contains(document.activeElement);
    this.#show();
    announce("Selection ended");
    if (!keepsFocus) this.#button.focus();
  }

  get #order(): readonly string[] {
    return this.tasks().map(({ id }) => id);
  }

  #enter(): void {
    if (this.#isOn) return;
    this.#isOn = true;
    announce("Selection started. Enter leads from a card to the actions.");
    this.#show();
  }

  #select(id: string, isRange: boolean): void {
    if (isRange) this.#selection.extendTo(id, this.#order);
    else this.#selection.toggle(id);
    this.#enter();
    this.#show();
    this.#announceCount();
  }

  #announceCount(): void {
    announce(`${counted(this.#selection.size, "task")} selected`);
  }

  #show(): void {
    setAttribute(this.#button, "aria-pressed", String(this.#isOn));
    setAttribute(this.#list, "data-selecting", this.#isOn ? "" : null);
    this.showCards();
    this.onChange(this.#isOn ? this.#selected : null);
  }

  /** Show which of the cards in the document are selected. */
  showCards(): void {
    for (const box of this.#list.querySelectorAll<HTMLInputElement>(BOX)) {
      const card = box.closest<HTMLElement>(".task");
      box.checked = this.#selection.has(card?.dataset.taskId ?? "");
      if (card !== null) setAttribute(card, "data-selected", box.checked ? "" : null);
    }
  }

  #onClick(event: MouseEvent): void {
    const target = event.target as Element;
    const id = target.closest<HTMLElement>(".task")?.dataset.taskId;
    if (id === undefined) return;
    if (target.matches(BOX)) this.#select(id, event.shiftKey);
    else if (this.#isOn && target.closest(".task__images, .task__prompt") !== null && target.closest(".task__favourite") === null) {
      event.preventDefault();
      event.stopPropagation();
      this.#select(id, event.shiftKey);
    }
  }

  /** Arrow keys lead to the next checkbox; Shift selects the cards in between. */
  #onListKey(event: KeyboardEvent): void {
    const box = event.target as HTMLInputElement;
    if (!box.matches(BOX) || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
    const id = box.closest<HTMLElement>(".task")?.dataset.taskId ?? "";
    if (event.key === "Enter" && this.#isOn) {
      // Otherwise the key would also press the button.
      event.preventDefault();
      find(byId("selection-bar", HTMLElement), "button", HTMLButtonElement).focus();
    } else if (event.key === " " && event.shiftKey) {
      event.preventDefault();
      this.#select(id, true);
    } else if (step !== undefined) {
      event.preventDefault();
      const boxes = [...this.#list.querySelectorAll<HTMLInputElement>(BOX)];
      const next = boxes[boxes.indexOf(box) + step];
      if (next === undefined) return;
      next.focus();
      if (!event.shiftKey) return;
      // The range begins at the card where Shift was pressed.
      if (!this.#selection.has(id)) this.#selection.toggle(id);
      this.#select(next.closest<HTMLElement>(".task")?.dataset.taskId ?? "", true);
    }
  }

  #onPageKey(event: KeyboardEvent): void {
    const isElsewhere = event.defaultPrevented || isTyping(event.target) || document.querySelector("dialog[open], :popover-open") !== null;
    if (!this.#isOn || isElsewhere) return;
    if (event.key === "Escape") this.leave();
    else if (event.key === "a" && (event.ctrlKey || event.metaKey)) {
      event.preventDefault();
      this.selectAll();
    }
  }
}
