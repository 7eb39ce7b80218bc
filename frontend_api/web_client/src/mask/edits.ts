/** The edits of a mask, with undo and redo, and the sizes of the brush. Without DOM access. */

export type Tool = "brush" | "eraser";

/** A position or size in pixels of the picture. */
export interface Point {
  readonly x: number;
  readonly y: number;
}

export interface Size {
  readonly width: number;
  readonly height: number;
}

export interface Stroke {
  readonly kind: "stroke";
  readonly tool: Tool;
  /** The diameter of the brush. */
  readonly size: number;
  readonly points: readonly Point[];
}

/** `fill` selects the whole picture, `clear` nothing, `invert` everything that was not selected. */
export type Edit = Stroke | { readonly kind: "fill" | "clear" | "invert" };

export class EditHistory {
  readonly #edits: Edit[] = [];
  #count = 0;

  /** The edits that are in effect, in their order. */
  get edits(): readonly Edit[] {
    return this.#edits.slice(0, this.#count);
  }

  get canUndo(): boolean {
    return this.#count > 0;
  }

  get canRedo(): boolean {
    return this.#count < this.#edits.length;
  }

  /** Add an edit. Undone edits cannot be redone after it. */
  add(edit: Edit): void {
    this.#edits.splice(this.#count, Infinity, edit);
    this.#count += 1;
  }

  undo(): void {
    this.#count = Math.max(0, this.#count - 1);
  }

  redo(): void {
    this.#count = Math.min(this.#edits.length, this.#count + 1);
  }
}

export interface BrushSizes {
  readonly smallest: number;
  readonly largest: number;
  readonly usual: number;
}

const SIZE_FACTOR = 1.25;

/** The diameters of the brush for a picture, up to half of its longer side. */
export function brushSizes({ width, height }: Size): BrushSizes {
  const longer = Math.max(width, height);
  return { smallest: Math.max(1, Math.round(longer / 128)), largest: Math.max(2, Math.round(longer / 2)), usual: Math.max(1, Math.round(longer / 10)) };
}

/** The next larger (1) or smaller (-1) brush. It differs by at least one pixel, within the sizes. */
export function nextBrushSize(size: number, direction: 1 | -1, { smallest, largest }: BrushSizes): number {
  const next = direction === 1 ? Math.max(size + 1, size * SIZE_FACTOR) : Math.min(size - 1, size / SIZE_FACTOR);
  return Math.round(Math.min(largest, Math.max(smallest, next)));
}

const DIRECTIONS: Readonly<Record<string, Point>> = {
  ArrowLeft: { x: -1, y: 0 }, ArrowRight: { x: 1, y: 0 }, ArrowUp: { x: 0, y: -1 }, ArrowDown: { x: 0, y: 1 },
};

/** The point inside the picture to which an arrow key leads; null for other keys. */
export function movedPoint({ x, y }: Point, key: string, distance: number, { width, height }: Size): Point | null {
  const direction = DIRECTIONS[key];
  if (direction === undefined) return null;
  const within = (value: number, end: number) => Math.min(end, Math.max(0, value));
  return { x: within(x + direction.x * distance, width), y: within(y + direction.y * distance, height) };
}
