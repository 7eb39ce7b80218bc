/** Where the cards of a list are, also those that are not in the document. Without DOM access. */

import type { TaskDocument } from "@darkroom/web";

import { type Measures, type Row, ratioOf, rowsOf } from "./rows";
import { type Range, joined, rowsBetween, topsOf } from "./window";

/** The place of rows that are not in the document. */
export interface Space {
  readonly key: string;
  readonly height: number;
}

/** A card in the document. */
export interface Place {
  readonly key: string;
  readonly task: TaskDocument;
  readonly width: number;
  /** From 1. */
  readonly position: number;
}

/** A card, and its distance from the beginning of the list or of the visible part of the page. */
export interface CardTop {
  readonly id: string;
  readonly top: number;
}

export class Layout {
  #measures: Measures = { width: 0, size: 0, columnGap: 0, rowGap: 0 };
  #tasks: readonly TaskDocument[] = [];
  #rows: readonly Row[] = [];
  #rowOf: ReadonlyMap<string, number> = new Map();
  /** The height of a card without its images, as it was in the document. */
  readonly #textHeights = new Map<string, number>();
  /** That of the other lines (true), and of the other cards with images (false). */
  readonly #usualHeights = new Map<boolean, number>();
  /** Null: they are computed again when they are needed. */
  #tops: readonly number[] | null = null;

  get count(): number {
    return this.#tasks.length;
  }

  /** Break tasks into rows. Other measures invalidate the known heights. */
  arrange(tasks: readonly TaskDocument[], measures: Measures): void {
    if (!this.hasMeasures(measures)) {
      this.#textHeights.clear();
      this.#usualHeights.clear();
    }
    this.#measures = measures;
    this.#tasks = tasks;
    this.#rows = rowsOf(tasks.map(ratioOf), measures);
    this.#rowOf = new Map(this.#rows.flatMap((row, index) => this.#tasksOf(row).map(({ id }) => [id, index])));
    for (const id of this.#textHeights.keys()) if (!this.#rowOf.has(id)) this.#textHeights.delete(id);
    this.#tops = null;
  }

  hasMeasures({ width, size, columnGap, rowGap }: Measures): boolean {
    const own = this.#measures;
    return own.width === width && own.size === size && own.columnGap === columnGap && own.rowGap === rowGap;
  }

  /** The id of the task at an index, or of the last one. */
  idAt(index: number): string | undefined {
    return (this.#tasks[index] ?? this.#tasks.at(-1))?.id;
  }

  has(id: string): boolean {
    return this.#rowOf.has(id);
  }

  /** The distance from the beginning of the list. */
  topOf(id: string): number {
    return this.#allTops[this.#rowOf.get(id) ?? 0] ?? 0;
  }

  /** The cards that are at least partly between two positions. */
  cardsBetween(top: number, bottom: number): readonly CardTop[] {
    if (this.#rows.length === 0) return [];
    const { first, end } = rowsBetween(this.#allTops, top, bottom);
    return this.#rows.slice(first, end).flatMap((row) => this.#tasksOf(row).map(({ id }) => ({ id, top: this.topOf(id) })));
  }

  /**
   * Take the heights of rows. `heightOf` returns that of a card, and undefined for a card that is not in the document.
   * Return whether the estimates for other rows have changed.
   */
  recordHeights(ranges: readonly Range[], heightOf: (id: string) => number | undefined): boolean {
    const found = new Map<boolean, number[]>([[true, []], [false, []]]);
    for (const row of ranges.flatMap(({ first, end }) => this.#rows.slice(first, end))) {
      const tasks = this.#tasksOf(row);
      const height = heightOf(tasks[0]?.id ?? "");
      if (height === undefined) continue;
      const text = height - row.imageHeight;
      found.get(isLine(row))?.push(text);
      if (tasks.every(({ id }) => this.#textHeights.get(id) === text)) continue;
      for (const { id } of tasks) this.#textHeights.set(id, text);
      this.#tops = null;
    }
    const known = this.#usualHeights.size;
    for (const [kind, heights] of found) {
      const height = middleOf(heights);
      if (height !== undefined && !this.#usualHeights.has(kind)) this.#usualHeights.set(kind, height);
    }
    if (this.#usualHeights.size === known) return false;
    this.#tops = null;
    return true;
  }

  /** The rows to have in the document for a part of the list: these, the first, the last, and those around a card. */
  rangesFor(top: number, bottom: number, around: string | null): readonly Range[] {
    const count = this.#rows.length;
    if (count === 0) return [];
    const row = around === null ? undefined : this.#rowOf.get(around);
    return joined([
      rowsBetween(this.#allTops, top, bottom),
      { first: 0, end: 1 },
      { first: count - 1, end: count },
      ...(row === undefined ? [] : [{ first: row - 1, end: row + 2 }]),
    ], count);
  }

  /** The cards of these rows, and the spaces between them. */
  itemsOf(ranges: readonly Range[]): readonly (Space | Place)[] {
    return ranges.flatMap((range, index) => {
      const places = this.#rows.slice(range.first, range.end).flatMap((row) => this.#placesOf(row));
      const end = ranges[index - 1]?.end ?? 0;
      if (range.first === end) return places;
      const height = (this.#allTops[range.first] ?? 0) - (this.#allTops[end] ?? 0) - this.#measures.rowGap;
      // The key changes with the next card, so that no card moves in the document.
      return [{ key: `before ${places[0]?.key}`, height }, ...places];
    });
  }

  #placesOf(row: Row): readonly Place[] {
    return this.#tasksOf(row).map((task, index) => ({ key: task.id, task, width: row.widths[index] ?? 0, position: row.first + index + 1 }));
  }

  #tasksOf({ first, end }: Row): readonly TaskDocument[] {
    return this.#tasks.slice(first, end);
  }

  get #allTops(): readonly number[] {
    return (this.#tops ??= topsOf(this.#rows.map((row) => this.#heightOf(row)), this.#measures.rowGap));
  }

  #heightOf(row: Row): number {
    const known = this.#tasksOf(row).flatMap(({ id }) => this.#textHeights.get(id) ?? []);
    return row.imageHeight + (known.length > 0 ? Math.max(...known) : (this.#usualHeights.get(isLine(row)) ?? 0));
  }
}

function isLine(row: Row): boolean {
  return row.imageHeight === 0;
}

function middleOf(values: readonly number[]): number | undefined {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}
