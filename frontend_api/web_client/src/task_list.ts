/** The list of the user's tasks, newest first. */

import type { TaskDocument } from "@darkroom/web";

import { arrivalsOf } from "./arrivals";
import { byId, setAttribute, setText } from "./dom";
import { KeyedList } from "./keyed_list";
import { animateMoves } from "./moves";
import { type TaskActions, TaskCard } from "./task_card";

export class TaskList {
  readonly #element = byId("task-list", HTMLElement);
  readonly #empty = byId("empty", HTMLElement);
  readonly #more = byId("more", HTMLButtonElement);
  readonly #arrivals = byId("arrivals", HTMLButtonElement);
  readonly #cards: KeyedList<TaskDocument>;
  #tasks: readonly TaskDocument[] = [];
  #hasMore = false;
  #known: ReadonlySet<string> = new Set();
  /** The tasks that were submitted on this page. */
  readonly #own = new Set<string>();

  constructor(actions: TaskActions, showMore: () => void) {
    const template = byId("task-template", HTMLTemplateElement);
    this.#cards = new KeyedList(this.#element, ({ id }) => id, (task) => new TaskCard(template, task, actions), "tasks");
    this.#more.addEventListener("click", () => {
      this.#more.setAttribute("aria-disabled", "true");
      showMore();
    });
    this.#arrivals.addEventListener("click", () => {
      this.#render(false);
      byId("tasks", HTMLElement).focus({ preventScroll: true });
      this.#element.scrollIntoView({ block: "start" });
    });
    addEventListener("scroll", () => { if (!this.#arrivals.hidden && !this.#isScrolled()) this.#render(false); }, { passive: true });
  }

  show(tasks: readonly TaskDocument[], hasMore: boolean): void {
    // Remove the placeholders.
    if (this.#element.getAttribute("aria-busy") === "true") this.#element.replaceChildren();
    this.#element.setAttribute("aria-busy", "false");
    this.#tasks = tasks;
    this.#hasMore = hasMore;
    this.#render(this.#isScrolled());
  }

  /** Show a task that this page has submitted at once, also in a scrolled list. */
  expect(taskId: string): void {
    this.#own.add(taskId);
  }

  #render(isScrolled: boolean): void {
    const { shown, waiting } = arrivalsOf(this.#tasks, this.#known, this.#own, isScrolled);
    const hasSameOrder = shown.every(({ id }) => this.#known.has(id)) && shown.length === this.#known.size;
    const shownCount = this.#element.children.length;
    const hadFocus = document.activeElement === this.#more;
    if (hasSameOrder) this.#cards.show(shown);
    else animateMoves(this.#element, () => { this.#cards.show(shown); });
    this.#known = new Set(shown.map(({ id }) => id));
    this.#arrivals.hidden = waiting === 0;
    setText(this.#arrivals, `${waiting} new`);
    this.#empty.hidden = this.#tasks.length > 0;
    this.#more.hidden = !this.#hasMore;
    if (hadFocus && !this.#hasMore) this.#focusCard(shownCount);
    this.#more.removeAttribute("aria-disabled");
  }

  /** Whether the beginning of the list is above the visible part of the page. */
  #isScrolled(): boolean {
    return this.#element.getBoundingClientRect().top < 0;
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
    this.#known = new Set();
    this.#cards.show([]);
  }
}
