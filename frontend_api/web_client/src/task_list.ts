/** The list of the user's tasks, newest first. It shows more of them, and asks for more, while it is scrolled. */

import type { TaskDocument } from "@darkroom/web";

import { arrivalsOf } from "./arrivals";
import { byId, setAttribute, setText } from "./dom";
import { KeyedList } from "./keyed_list";
import { animateMoves } from "./moves";
import { errorText } from "./problems";
import { isEmpty } from "./search/task_filter";
import type { LibraryView } from "./search/task_library";
import { moreLabel } from "./search/search_text";
import { type TaskActions, TaskCard } from "./task_card";

/** How many cards are added at once. */
const CARDS_AT_ONCE = 50;
/** After so many additions without a press of the button the list waits for one, so that the end of the page can be reached. */
const MAX_AUTOMATIC = 20;
const NEAR = "1200px";

export class TaskList {
  readonly #element = byId("task-list", HTMLElement);
  readonly #empty = byId("empty", HTMLElement);
  readonly #more = byId("more", HTMLButtonElement);
  readonly #message = byId("more-message", HTMLElement);
  readonly #arrivals = byId("arrivals", HTMLButtonElement);
  readonly #cards: KeyedList<TaskDocument>;
  #view: LibraryView | null = null;
  #limit = CARDS_AT_ONCE;
  #automatic = 0;
  readonly #end = new IntersectionObserver((entries) => {
    const isNear = entries.at(-1)?.isIntersecting === true;
    if (!isNear || this.#automatic >= MAX_AUTOMATIC || this.#view?.error !== null || this.#view.isLoading) return;
    this.#automatic += 1;
    this.#extend();
  }, { rootMargin: NEAR });
  #known: ReadonlySet<string> = new Set();
  /** The tasks that were submitted on this page. */
  readonly #own = new Set<string>();

  constructor(actions: TaskActions, private readonly loadMore: () => void) {
    const template = byId("task-template", HTMLTemplateElement);
    this.#cards = new KeyedList(this.#element, ({ id }) => id, (task) => new TaskCard(template, task, actions), "tasks");
    this.#more.addEventListener("click", () => {
      this.#automatic = 0;
      this.#extend();
    });
    this.#arrivals.addEventListener("click", () => {
      this.#render(false);
      byId("tasks", HTMLElement).focus({ preventScroll: true });
      this.#element.scrollIntoView({ block: "start" });
    });
    addEventListener("scroll", () => { if (!this.#arrivals.hidden && !this.#isScrolled()) this.#render(false); }, { passive: true });
  }

  show(view: LibraryView): void {
    // Remove the placeholders.
    if (this.#element.getAttribute("aria-busy") === "true") this.#element.replaceChildren();
    this.#element.setAttribute("aria-busy", "false");
    if (this.#view !== null && this.#view.filter !== view.filter) this.#startAgain();
    this.#view = view;
    this.#render(this.#isScrolled());
  }

  /** Show a task that this page has submitted at once, also in a scrolled list. */
  expect(taskId: string): void {
    this.#own.add(taskId);
  }

  /** Show the beginning of another selection. */
  #startAgain(): void {
    this.#known = new Set();
    this.#limit = CARDS_AT_ONCE;
    this.#automatic = 0;
    if (this.#isScrolled()) byId("tasks", HTMLElement).scrollIntoView({ block: "start" });
  }

  #render(isScrolled: boolean): void {
    if (this.#view === null) return;
    const { tasks, filter, error, isLoading } = this.#view;
    // New tasks must not displace shown ones.
    this.#limit = Math.max(this.#limit, tasks.findLastIndex(({ id }) => this.#known.has(id)) + 1);
    const { shown, waiting } = arrivalsOf(tasks.slice(0, this.#limit), this.#known, this.#own, isScrolled);
    const hasSameOrder = shown.every(({ id }) => this.#known.has(id)) && shown.length === this.#known.size;
    const shownCount = this.#element.children.length;
    const hadFocus = document.activeElement === this.#more;
    if (hasSameOrder) this.#cards.show(shown);
    else animateMoves(this.#element, () => { this.#cards.show(shown); });
    this.#known = new Set(shown.map(({ id }) => id));
    this.#arrivals.hidden = waiting === 0;
    setText(this.#arrivals, `${waiting} new`);
    this.#empty.hidden = tasks.length > 0 || !isEmpty(filter);
    this.#more.hidden = !this.#hasMore;
    setText(this.#more, this.#limit < tasks.length ? "Show more" : moreLabel(this.#view));
    setText(this.#message, error === null ? "" : `Older tasks could not be loaded. ${errorText(error, "")}`.trim());
    setAttribute(this.#more, "aria-disabled", isLoading ? "true" : null);
    if (hadFocus && !this.#hasMore) this.#focusCard(shownCount);
    this.#watchEnd();
  }

  get #hasMore(): boolean {
    return this.#view !== null && (this.#view.hasMore || this.#limit < this.#view.tasks.length);
  }

  /** Observe the end of the list again: the observer then reports whether it is still near. */
  #watchEnd(): void {
    this.#end.unobserve(this.#more);
    if (this.#hasMore) this.#end.observe(this.#more);
  }

  /** Show more of the loaded tasks, and load more. */
  #extend(): void {
    if (this.#view === null || !this.#hasMore || this.#view.isLoading) return;
    this.#limit += CARDS_AT_ONCE;
    if (this.#limit > this.#view.tasks.length && this.#view.hasMore) this.loadMore();
    else this.#render(this.#isScrolled());
  }

  /** Whether the beginning of the list is above the visible part of the page. */
  #isScrolled(): boolean {
    return this.#element.getBoundingClientRect().top < 0;
  }

  /** The cards' tasks in the order of the list. */
  get tasks(): readonly TaskDocument[] {
    return this.#view?.tasks.filter(({ id }) => this.#known.has(id)) ?? [];
  }

  /** All finished images in the order of the list. */
  get pictures(): readonly { readonly task: TaskDocument; readonly index: number }[] {
    return this.#view?.tasks.flatMap((task) => task.images.map(({ index }) => ({ task, index }))) ?? [];
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
    this.#view = null;
    this.#known = new Set();
    this.#cards.show([]);
    this.#empty.hidden = this.#more.hidden = true;
  }
}
