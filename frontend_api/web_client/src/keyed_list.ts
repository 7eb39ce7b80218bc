import { byId } from "./dom";

export interface ItemView<Item> {
  readonly element: HTMLElement;
  update(item: Item): void;
  dispose?(): void;
}

/**
 * The children of an element: one per item, in the order of the items.
 *
 * An item keeps its element as long as its key is in the list, so open details and the focus survive an update. If the
 * removed element has the focus, the focus moves to a neighbour, or else to the element with the id `fallbackFocus`.
 */
export class KeyedList<Item> {
  readonly #views = new Map<string, ItemView<Item>>();

  constructor(
    private readonly parent: HTMLElement,
    private readonly keyOf: (item: Item) => string,
    private readonly createView: (item: Item) => ItemView<Item>,
    private readonly fallbackFocus?: string,
  ) {}

  show(items: readonly Item[]): void {
    const keys = new Set(items.map(this.keyOf));
    for (const [key, view] of this.#views) if (!keys.has(key)) this.#remove(key, view);
    items.forEach((item, index) => {
      const { element } = this.#update(item);
      const current = this.parent.children[index];
      if (current !== element) this.parent.insertBefore(element, current ?? null);
    });
  }

  /** The element of an item that is in the list. */
  elementOf(key: string): HTMLElement | undefined {
    return this.#views.get(key)?.element;
  }

  #update(item: Item): ItemView<Item> {
    const key = this.keyOf(item);
    const view = this.#views.get(key) ?? this.createView(item);
    this.#views.set(key, view);
    view.update(item);
    return view;
  }

  #remove(key: string, view: ItemView<Item>): void {
    const { element } = view;
    const hadFocus = element.contains(document.activeElement);
    const neighbour = element.nextElementSibling ?? element.previousElementSibling;
    this.#views.delete(key);
    view.dispose?.();
    element.remove();
    if (!hadFocus) return;
    const next = neighbour?.querySelector<HTMLElement>("button:not([hidden], :disabled)");
    (next ?? (this.fallbackFocus === undefined ? null : byId(this.fallbackFocus, HTMLElement)))?.focus();
  }
}
