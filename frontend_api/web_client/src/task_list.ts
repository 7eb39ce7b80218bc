/** The list of the user's tasks, newest first. It asks for older ones while it is scrolled. */

import type { TaskDocument } from "@darkroom/web";

import { announce } from "./announcer";
import { arrivalsOf } from "./arrivals";
import { byId, setAttribute, setText } from "./dom";
import { Gallery } from "./gallery/gallery";
import { connectImageKeys } from "./gallery/image_keys";
import { type ListPlace, keepPlace, takePlace, taskOf } from "./list_place";
import { animateMoves } from "./moves";
import { errorText } from "./problems";
import { isEmpty } from "./search/task_filter";
import type { LibraryView } from "./search/task_library";
import { moreLabel } from "./search/search_text";
import { type TaskActions, TaskCard } from "./task_card";
import { viewOf } from "./task_view";

/** After so many pages without a press of the button the list waits for one, so that the end of the page can be reached. */
const MAX_AUTOMATIC = 20;
/** Older tasks are requested so long before the end of the list that it rarely is visible. */
const NEAR = "3000px";
/** How many changes that arrive together are announced one by one. */
const MAX_ANNOUNCED = 3;
/** A user who does something stays there. */
const USER_EVENTS = ["wheel", "touchstart", "pointerdown", "keydown"];

export class TaskList {
  readonly #element = byId("task-list", HTMLElement);
  readonly #empty = byId("empty", HTMLElement);
  readonly #more = byId("more", HTMLButtonElement);
  readonly #message = byId("more-message", HTMLElement);
  readonly #arrivals = byId("arrivals", HTMLButtonElement);
  readonly #gallery: Gallery;
  #view: LibraryView | null = null;
  #automatic = 0;
  /** How many cards the list had when the user pressed the button for older ones. */
  #countAtPress: number | null = null;
  /** Where the user was before the page was loaded again, until the list is there. */
  #left: ListPlace | null = takePlace();
  readonly #end = new IntersectionObserver((entries) => {
    const isNear = entries.at(-1)?.isIntersecting === true;
    if (!isNear || this.#automatic >= MAX_AUTOMATIC || this.#view?.error !== null || this.#view.isLoading) return;
    this.#automatic += 1;
    this.loadMore();
  }, { rootMargin: NEAR });
  /** The tasks in the list, by id. */
  #known: ReadonlyMap<string, TaskDocument> = new Map();
  /** The tasks that were submitted on this page. */
  readonly #own = new Set<string>();

  /** `onCards` is called when other cards are in the document. */
  constructor(actions: TaskActions, private readonly loadMore: () => void, onCards: () => void) {
    const template = byId("task-template", HTMLTemplateElement);
    this.#gallery = new Gallery(this.#element, (task) => new TaskCard(template, task, actions), onCards);
    connectImageKeys(this.#element);
    this.#more.addEventListener("click", () => {
      this.#automatic = 0;
      this.#countAtPress = this.#known.size;
      this.loadMore();
    });
    this.#arrivals.addEventListener("click", () => {
      this.#render(false);
      byId("tasks", HTMLElement).focus({ preventScroll: true });
      this.#element.scrollIntoView({ block: "start" });
    });
    addEventListener("scroll", () => { if (!this.#arrivals.hidden && !this.#isScrolled()) this.#render(false); }, { passive: true });
    keepPlace(() => this.#place);
    for (const type of USER_EVENTS) addEventListener(type, () => { this.#left = null; }, { passive: true });
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
    this.#known = new Map();
    this.#automatic = 0;
    this.#countAtPress = this.#left = null;
    if (this.#isScrolled()) byId("tasks", HTMLElement).scrollIntoView({ block: "start" });
  }

  #render(isScrolled: boolean): void {
    if (this.#view === null) return;
    const { tasks, filter, hasMore, error, isLoading } = this.#view;
    const { shown, waiting } = arrivalsOf(tasks, this.#known, this.#own, isScrolled);
    const hasSameOrder = shown.every(({ id }) => this.#known.has(id)) && shown.length === this.#known.size;
    const newFrom = this.#countAtPress ?? this.#known.size;
    const hadFocus = document.activeElement === this.#more;
    this.#announceChanges(shown);
    const show = () => { this.#gallery.show(shown, hasMore); };
    if (hasSameOrder) show();
    else animateMoves(this.#element, show);
    this.#known = new Map(shown.map((task) => [task.id, task]));
    this.#arrivals.hidden = waiting === 0;
    setText(this.#arrivals, `${waiting} new`);
    this.#empty.hidden = tasks.length > 0 || !isEmpty(filter);
    this.#more.hidden = !hasMore;
    setText(this.#more, moreLabel(this.#view));
    setText(this.#message, error === null ? "" : `Older tasks could not be loaded. ${errorText(error, "")}`.trim());
    setAttribute(this.#more, "aria-disabled", isLoading ? "true" : null);
    // The focus goes to the first older card, before which the button was. The button may be hidden now.
    const isExtended = this.#countAtPress !== null && shown.length > this.#countAtPress;
    if (isExtended || !hasMore) this.#countAtPress = null;
    if (hadFocus && (isExtended || !hasMore)) this.#gallery.focusCard(newFrom);
    this.#goBack();
    this.#watchEnd();
  }

  /** Scroll to where the user was, and load older tasks until the list reaches it. */
  #goBack(): void {
    if (this.#left === null || this.#view === null) return;
    const { hasMore, isLoading, error } = this.#view;
    const task = taskOf(this.#left, this.tasks);
    if (task === undefined && hasMore && error === null) {
      if (!isLoading) this.loadMore();
      return;
    }
    if (task !== undefined) this.#gallery.showAt({ id: task.id, top: this.#left.top });
    this.#left = null;
  }

  /** The first visible card of a scrolled list, or where the list still leads to. */
  get #place(): ListPlace | null {
    const card = this.#gallery.firstVisible;
    const createdAt = this.#known.get(card?.id ?? "")?.createdAt;
    return this.#left ?? (card === undefined || createdAt === undefined ? null : { ...card, createdAt });
  }

  /** Announce changes of the status, also of tasks whose cards are not in the document. */
  #announceChanges(tasks: readonly TaskDocument[]): void {
    const texts = tasks.flatMap((task) => {
      const before = this.#known.get(task.id);
      // A task that did not change is the same object.
      if (before === undefined || before === task) return [];
      const { announcement } = viewOf(task);
      return announcement === null || announcement === viewOf(before).announcement ? [] : [announcement];
    });
    for (const text of texts.slice(0, MAX_ANNOUNCED)) announce(text);
    if (texts.length > MAX_ANNOUNCED) announce(`and ${texts.length - MAX_ANNOUNCED} more`);
  }

  /** Observe the end of the list again: the observer then reports whether it is still near. */
  #watchEnd(): void {
    this.#end.unobserve(this.#more);
    if (this.#view?.hasMore === true) this.#end.observe(this.#more);
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

  /** Move the focus to an image of the list. */
  focusPicture(task: TaskDocument, index: number): void {
    const position = this.tasks.findIndex(({ id }) => id === task.id);
    const image = this.tasks[position]?.images.findIndex((one) => one.index === index) ?? -1;
    if (image === -1) byId("tasks", HTMLElement).focus({ preventScroll: true });
    else this.#gallery.focusCard(position, index);
  }

  /** The size of the images has changed. */
  arrange(): void {
    this.#gallery.refresh();
  }

  /** Show or hide the name of each task's model. */
  setModelsShown(isShown: boolean): void {
    setAttribute(this.#element, "data-models", isShown ? "" : null);
  }
}
