/** The list of the user's tasks, newest first. */

import { byId, setAttribute } from "./dom";
import { KeyedList } from "./keyed_list";
import { type TaskActions, TaskCard } from "./task_card";
import type { TaskDocument } from "./task_document";

export class TaskList {
  readonly #element = byId("task-list", HTMLElement);
  readonly #empty = byId("empty", HTMLElement);
  readonly #more = byId("more", HTMLButtonElement);
  readonly #cards: KeyedList<TaskDocument>;
  #tasks: readonly TaskDocument[] = [];

  constructor(actions: TaskActions, showMore: () => void) {
    const template = byId("task-template", HTMLTemplateElement);
    this.#cards = new KeyedList(this.#element, ({ id }) => id, (task) => new TaskCard(template, task, actions), "tasks");
    this.#more.addEventListener("click", () => {
      this.#more.setAttribute("aria-disabled", "true");
      showMore();
    });
  }

  show(tasks: readonly TaskDocument[], hasMore: boolean): void {
    // Remove the placeholders.
    if (this.#element.getAttribute("aria-busy") === "true") this.#element.replaceChildren();
    this.#element.setAttribute("aria-busy", "false");
    this.#tasks = tasks;
    const shownCount = this.#element.children.length;
    const hadFocus = document.activeElement === this.#more;
    this.#cards.show(tasks);
    this.#empty.hidden = tasks.length > 0;
    this.#more.hidden = !hasMore;
    if (hadFocus && !hasMore) this.#focusCard(shownCount);
    this.#more.removeAttribute("aria-disabled");
  }

  /** All finished images in the order of the list. */
  get pictures(): readonly { readonly task: TaskDocument; readonly index: number }[] {
    return this.#tasks.flatMap((task) => task.images.map(({ index }) => ({ task, index })));
  }

  /** Focus the first control of a card: the button that showed it is hidden now. */
  #focusCard(index: number): void {
    const card = this.#element.children[index] ?? this.#element.lastElementChild;
    card?.querySelector<HTMLElement>("button:not([hidden], :disabled)")?.focus();
  }

  /** Show or hide the name of each task's model. */
  setModelsShown(isShown: boolean): void {
    setAttribute(this.#element, "data-models", isShown ? "" : null);
  }

  /** Remove all cards, for another user. */
  clear(): void {
    this.#tasks = [];
    this.#cards.show([]);
  }
}
