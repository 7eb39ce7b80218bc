/** The contact sheet: one card per task, newest first, kept in step with the live query. */

import { byId } from "./dom";
import { type TaskActions, TaskCard } from "./task_card";
import type { TaskDocument } from "./task_document";

export class TaskList {
  readonly #sheet = byId("sheet", HTMLElement);
  readonly #empty = byId("empty", HTMLElement);
  readonly #more = byId("more", HTMLButtonElement);
  readonly #template = byId("task-template", HTMLTemplateElement);
  readonly #cards = new Map<string, { card: TaskCard; task: TaskDocument }>();

  constructor(private readonly actions: TaskActions, moreWanted: () => void) {
    this.#more.addEventListener("click", () => {
      this.#more.setAttribute("aria-disabled", "true");
      moreWanted();
    });
  }

  show(tasks: readonly TaskDocument[], hasMore: boolean): void {
    if (this.#sheet.getAttribute("aria-busy") === "true") this.#sheet.replaceChildren();
    this.#sheet.setAttribute("aria-busy", "false");
    const wanted = new Set(tasks.map((task) => task.id));
    for (const id of [...this.#cards.keys()]) if (!wanted.has(id)) this.#remove(id);
    let position = this.#sheet.firstElementChild;
    for (const task of tasks) {
      const { element } = this.#cardOf(task);
      if (element === position) position = position.nextElementSibling;
      else this.#sheet.insertBefore(element, position);
    }
    this.#empty.hidden = tasks.length > 0;
    this.#more.hidden = !hasMore;
    this.#more.removeAttribute("aria-disabled");
  }

  /** Back to blank sheets, for the next user. */
  clear(): void {
    for (const id of [...this.#cards.keys()]) this.#remove(id);
  }

  #cardOf(task: TaskDocument): TaskCard {
    const known = this.#cards.get(task.id);
    if (known === undefined) {
      const card = new TaskCard(this.#template, task, this.actions);
      this.#cards.set(task.id, { card, task });
      return card;
    }
    // The watcher keeps the same object for a document that did not change.
    if (known.task !== task) known.card.update(task);
    known.task = task;
    return known.card;
  }

  #remove(id: string): void {
    const card = this.#cards.get(id)?.card;
    if (card === undefined) return;
    const hadFocus = card.element.contains(document.activeElement);
    const neighbour = card.element.nextElementSibling ?? card.element.previousElementSibling;
    this.#cards.delete(id);
    card.dispose();
    if (!hadFocus) return;
    const next = neighbour?.querySelector<HTMLElement>("button:not([hidden]):not(:disabled)");
    (next ?? byId("tasks", HTMLElement)).focus();
  }
}
