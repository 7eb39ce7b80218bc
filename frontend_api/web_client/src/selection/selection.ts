/** The selected tasks, and the task from which a range extends. Without DOM access. */

export class Selection {
  readonly #ids = new Set<string>();
  #anchor: string | null = null;

  get size(): number {
    return this.#ids.size;
  }

  has(id: string): boolean {
    return this.#ids.has(id);
  }

  toggle(id: string): void {
    if (!this.#ids.delete(id)) this.#ids.add(id);
    this.#anchor = id;
  }

  /** Select everything from the last toggled task to this one, in the order of the list. */
  extendTo(id: string, order: readonly string[]): void {
    const [start, end] = [order.indexOf(this.#anchor ?? id), order.indexOf(id)];
    if (end === -1) return;
    const [first, last] = start === -1 ? [end, end] : [Math.min(start, end), Math.max(start, end)];
    for (const one of order.slice(first, last + 1)) this.#ids.add(one);
    if (start === -1 || this.#anchor === null) this.#anchor = id;
  }

  selectAll(order: readonly string[]): void {
    for (const id of order) this.#ids.add(id);
  }

  /** Drop the tasks that are not in the list any more. */
  retain(order: readonly string[]): void {
    const kept = new Set(order);
    for (const id of this.#ids) if (!kept.has(id)) this.#ids.delete(id);
    if (this.#anchor !== null && !kept.has(this.#anchor)) this.#anchor = null;
  }

  clear(): void {
    this.#ids.clear();
    this.#anchor = null;
  }
}
