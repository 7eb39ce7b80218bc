/**
 * The cards of a list of any length: those near the visible part of the page are in the document.
 *
 * The first and the last row are too, and those around the card that had the focus last: the Tab key leads from each
 * card to the next one. The heights of rows that were never shown are estimates, so visible cards are put back to where
 * they were after each change.
 */

import type { TaskDocument } from "@darkroom/web";

import { create, setAttribute } from "../dom";
import { type ItemView, KeyedList } from "../keyed_list";
import { type CardTop, Layout, type Place, type Space } from "./layout";
import type { Measures } from "./rows";
import type { Range } from "./window";

export class Gallery {
  readonly #layout = new Layout();
  readonly #items: KeyedList<Space | Place>;
  #tasks: readonly TaskDocument[] = [];
  #hasMore = false;
  #shown: readonly Range[] = [];
  #focused: string | null = null;
  /** The visible cards after the last change. */
  #anchors: readonly CardTop[] = [];

  /** `onCards` is called when other cards are in the document. */
  constructor(
    private readonly element: HTMLElement,
    createCard: (task: TaskDocument) => ItemView<TaskDocument>,
    private readonly onCards: () => void,
  ) {
    const createView = (item: Space | Place): ItemView<Space | Place> =>
      "task" in item ? placedCard(createCard(item.task), () => (this.#hasMore ? -1 : this.#layout.count)) : emptySpace();
    this.#items = new KeyedList(element, ({ key }) => key, createView, "tasks");
    addEventListener("scroll", () => { this.#update(); }, { passive: true });
    addEventListener("resize", () => {
      this.refresh();
      this.#update();
    });
    document.addEventListener("focusin", ({ target }) => { this.#keepFocused(target as Element); });
    new ResizeObserver(() => { this.refresh(); }).observe(element);
  }

  /** Show these tasks. `hasMore`: others follow that are not loaded. */
  show(tasks: readonly TaskDocument[], hasMore: boolean): void {
    this.#record();
    const anchors = this.#visible();
    this.#tasks = tasks;
    this.#hasMore = hasMore;
    this.#arrange(anchors);
  }

  /** Arrange the cards again if the list's width or the size of its images has changed. */
  refresh(): void {
    // The browser may have moved the cards already.
    if (!this.#layout.hasMeasures(this.#readMeasures())) this.#arrange(this.#anchors);
  }

  /** The first card of a scrolled list whose top is visible, or else the first visible one. */
  get firstVisible(): CardTop | undefined {
    return this.#visible()[0];
  }

  /** Scroll so that a card is at this distance from the top of the window. */
  showAt(card: CardTop): void {
    this.#place([card]);
  }

  /** Move the focus to an image of a card, or else to the card's first control. */
  focusCard(index: number, image = 0): void {
    const id = this.#layout.idAt(index) ?? null;
    this.#focused = id;
    this.#update();
    const card = id === null ? undefined : this.#items.elementOf(id);
    const tile = card?.querySelectorAll<HTMLButtonElement>(".tile")[image];
    (tile?.disabled === false ? tile : card?.querySelector<HTMLElement>("button:not([hidden], :disabled)"))?.focus();
  }

  /** A card stays in the document while it has the focus, also while a dialog or menu has it that gives it back. */
  #keepFocused(target: Element): void {
    if (target.closest("dialog, [popover]") !== null) return;
    const id = target.closest<HTMLElement>("[data-task-id]")?.dataset.taskId ?? null;
    if (id === this.#focused) return;
    this.#focused = id;
    this.#update();
  }

  #update(): void {
    this.#record();
    this.#place(this.#visible());
  }

  #arrange(anchors: readonly CardTop[]): void {
    this.#layout.arrange(this.#tasks, this.#readMeasures());
    this.#place(anchors);
  }

  /** Put the rows near the visible part of the page into the document, and a visible card to where it was. */
  #place(anchors: readonly CardTop[]): void {
    const anchor = anchors.find(({ id }) => this.#layout.has(id));
    this.#showRows(anchor);
    // The first rows of a kind also change the estimates of others.
    if (this.#record()) this.#showRows(anchor);
    this.onCards();
    this.#record();
    const moved = anchor === undefined ? 0 : this.#top + this.#layout.topOf(anchor.id) - anchor.top;
    if (Math.abs(moved) >= 1) scrollBy({ top: moved, behavior: "instant" });
    this.#anchors = this.#visible();
  }

  #showRows(anchor: CardTop | undefined): void {
    const top = anchor === undefined ? -this.#top : this.#layout.topOf(anchor.id) - anchor.top;
    this.#shown = this.#layout.rangesFor(top - innerHeight, top + 2 * innerHeight, this.#focused);
    this.#items.show(this.#layout.itemsOf(this.#shown));
  }

  #record(): boolean {
    return this.#layout.recordHeights(this.#shown, (id) => this.#items.elementOf(id)?.getBoundingClientRect().height);
  }

  /** The visible cards of a scrolled list, first those whose top is visible. */
  #visible(): readonly CardTop[] {
    const listTop = this.#top;
    if (listTop >= 0) return [];
    const visible = this.#layout.cardsBetween(-listTop, innerHeight - listTop).map(({ id, top }) => ({ id, top: top + listTop }));
    return [...visible.filter(({ top }) => top >= 0), ...visible];
  }

  /** The top of the list in the visible part of the page. Cards may be moving to their places; the list never is. */
  get #top(): number {
    return this.element.getBoundingClientRect().top;
  }

  #readMeasures(): Measures {
    const style = getComputedStyle(this.element);
    return {
      width: Math.floor(this.element.getBoundingClientRect().width),
      size: Number.parseFloat(style.getPropertyValue("--size")),
      columnGap: Number.parseFloat(style.columnGap),
      rowGap: Number.parseFloat(style.rowGap),
    };
  }
}

function placedCard(card: ItemView<TaskDocument>, setSize: () => number): ItemView<Space | Place> {
  const { element } = card;
  return {
    element,
    update(item) {
      if (!("task" in item)) return;
      card.update(item.task);
      element.style.width = `${item.width}px`;
      setAttribute(element, "aria-posinset", item.position);
      setAttribute(element, "aria-setsize", setSize());
    },
    dispose() { card.dispose?.(); },
  };
}

function emptySpace(): ItemView<Space | Place> {
  const element = create("li", "task-list__space");
  element.ariaHidden = "true";
  return { element, update(item) { if ("height" in item) element.style.height = `${item.height}px`; } };
}
