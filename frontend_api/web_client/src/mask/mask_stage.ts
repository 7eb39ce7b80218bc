/**
 * The picture with the mask over it: pointers and keys paint strokes, and the picture can be enlarged.
 *
 * Two fingers zoom as everywhere in the browser, which cancels the stroke that the first one began.
 */

import { setAttribute } from "../dom";
import { type BrushSizes, type Edit, EditHistory, type Point, type Stroke, type Tool, brushSizes, movedPoint, nextBrushSize } from "./edits";
import { Painting } from "./painting";

const ZOOM_FACTOR = 1.5;
const MAX_ZOOM = 8;
/** In `PointerEvent.buttons`: the other end of a pen. */
const PEN_ERASER = 32;
/** An arrow key moves the brush by this part of its diameter, so that dots join to lines. */
const KEY_STEP = 0.25;

type Drawn = Pick<Stroke, "tool" | "size"> & { readonly points: Point[]; readonly pointerId: number | null };

export class MaskStage {
  readonly history = new EditHistory();
  readonly #painting: Painting;
  readonly sizes: BrushSizes;
  tool: Tool = "brush";
  #size: number;
  /** 1: the picture fits into the stage. */
  #zoom = 1;
  #stroke: Drawn | null = null;
  #position: Point;
  readonly #end = new AbortController();

  /** `image` is loaded. `onChange` is called after each change of the mask, the size of the brush or the zoom. */
  constructor(
    private readonly stage: HTMLElement,
    private readonly frame: HTMLElement,
    private readonly ring: HTMLElement,
    canvas: HTMLCanvasElement,
    private readonly image: HTMLImageElement,
    mask: CanvasImageSource | null,
    private readonly onChange: () => void,
  ) {
    const size = { width: image.naturalWidth, height: image.naturalHeight };
    this.sizes = brushSizes(size);
    this.#size = this.sizes.usual;
    this.#position = { x: size.width / 2, y: size.height / 2 };
    this.#painting = new Painting(canvas);
    this.#painting.begin(size, mask);
    const { signal } = this.#end;
    canvas.addEventListener("pointerdown", (event) => { this.#begin(event); }, { signal });
    canvas.addEventListener("pointermove", (event) => { this.#move(event); }, { signal });
    canvas.addEventListener("pointerup", (event) => { if (event.pointerId === this.#stroke?.pointerId) this.#finish(); }, { signal });
    canvas.addEventListener("pointercancel", (event) => { if (event.pointerId === this.#stroke?.pointerId) this.#drop(); }, { signal });
    canvas.addEventListener("pointerleave", () => { this.#showRing(stage.matches(":focus-visible")); }, { signal });
    stage.addEventListener("keydown", (event) => { this.#onKey(event); }, { signal });
    stage.addEventListener("keyup", (event) => { if (event.key === " " && this.#stroke?.pointerId === null) this.#finish(); }, { signal });
    stage.addEventListener("focus", () => { this.#showRing(stage.matches(":focus-visible")); }, { signal });
    stage.addEventListener("blur", () => {
      if (this.#stroke?.pointerId === null) this.#finish();
      this.#showRing(false);
    }, { signal });
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.zoom(event.deltaY < 0 ? 1 : -1);
    }, { passive: false, signal });
    const observer = new ResizeObserver(() => { this.#layOut(); });
    observer.observe(stage);
    signal.addEventListener("abort", () => { observer.disconnect(); });
  }

  /** End the work of this stage. Another one may use its elements. */
  dispose(): void {
    this.#end.abort();
    this.#showRing(false);
  }

  get size(): number {
    return this.#size;
  }

  set size(size: number) {
    this.#size = size;
    this.#placeRing();
    this.onChange();
  }

  get share(): number {
    return this.#painting.share;
  }

  get percent(): number {
    return Math.round(this.#zoom * 100);
  }

  toPng(): Promise<Blob> {
    return this.#painting.toPng();
  }

  add(edit: Edit): void {
    this.history.add(edit);
    this.#painting.apply(edit);
    this.onChange();
  }

  undo(): void {
    this.history.undo();
    this.#redraw();
  }

  redo(): void {
    this.history.redo();
    this.#redraw();
  }

  stepSize(direction: 1 | -1): void {
    this.size = nextBrushSize(this.#size, direction, this.sizes);
  }

  /** Enlarge (1), reduce (-1) or fit (0) the picture. */
  zoom(direction: 1 | 0 | -1): void {
    const zoom = direction === 0 ? 1 : this.#zoom * ZOOM_FACTOR ** direction;
    this.#zoom = Math.min(MAX_ZOOM, Math.max(1, zoom));
    this.#layOut();
    this.onChange();
  }

  #redraw(): void {
    this.#painting.draw(this.history.edits);
    this.onChange();
  }

  /** Size the picture, and keep the center of the visible part. */
  #layOut(): void {
    const { stage, image } = this;
    const x = (stage.scrollLeft + stage.clientWidth / 2) / stage.scrollWidth;
    const y = (stage.scrollTop + stage.clientHeight / 2) / stage.scrollHeight;
    const scale = Math.min(stage.clientWidth / image.naturalWidth, stage.clientHeight / image.naturalHeight) * this.#zoom;
    this.frame.style.width = `${image.naturalWidth * scale}px`;
    this.frame.style.height = `${image.naturalHeight * scale}px`;
    stage.scrollTo(x * stage.scrollWidth - stage.clientWidth / 2, y * stage.scrollHeight - stage.clientHeight / 2);
    this.#placeRing();
  }

  #begin(event: PointerEvent): void {
    const isErasing = (event.buttons & PEN_ERASER) !== 0;
    if (!event.isPrimary || this.#stroke !== null || (event.button !== 0 && !isErasing)) return;
    event.preventDefault();
    this.stage.focus({ preventScroll: true });
    (event.target as Element).setPointerCapture(event.pointerId);
    this.#start(isErasing ? "eraser" : this.tool, event.pointerId, this.#pointOf(event));
  }

  #start(tool: Tool, pointerId: number | null, point: Point): void {
    this.#stroke = { tool, size: this.#size, pointerId, points: [point] };
    this.#painting.paint(this.#stroke, [point]);
  }

  #move(event: PointerEvent): void {
    this.#position = this.#pointOf(event);
    // A finger covers the ring.
    this.#showRing(event.pointerType !== "touch");
    if (event.pointerId !== this.#stroke?.pointerId) return;
    const events = event.getCoalescedEvents();
    for (const each of events.length === 0 ? [event] : events) this.#extend(this.#pointOf(each));
  }

  #extend(point: Point): void {
    const last = this.#stroke?.points.at(-1);
    if (this.#stroke === null || last === undefined) return;
    this.#stroke.points.push(point);
    this.#painting.paint(this.#stroke, [last, point]);
  }

  #finish(): void {
    if (this.#stroke === null) return;
    const { tool, size, points } = this.#stroke;
    this.#stroke = null;
    this.history.add({ kind: "stroke", tool, size, points });
    this.onChange();
  }

  #drop(): void {
    this.#stroke = null;
    this.#redraw();
  }

  /** Arrow keys move the brush, and Space paints: a dot, or a line while it is held. */
  #onKey(event: KeyboardEvent): void {
    if (event.ctrlKey || event.metaKey || event.altKey || (this.#stroke !== null && this.#stroke.pointerId !== null)) return;
    if (event.key === " ") {
      event.preventDefault();
      if (this.#stroke === null) this.#start(this.tool, null, this.#position);
      return;
    }
    const { naturalWidth: width, naturalHeight: height } = this.image;
    const point = movedPoint(this.#position, event.key, Math.max(1, this.#size * KEY_STEP), { width, height });
    if (point === null) return;
    event.preventDefault();
    this.#position = point;
    this.#showRing(true);
    this.ring.scrollIntoView({ block: "nearest", inline: "nearest" });
    this.#extend(point);
  }

  #pointOf({ clientX, clientY }: PointerEvent): Point {
    const box = this.frame.getBoundingClientRect();
    const { naturalWidth, naturalHeight } = this.image;
    return { x: ((clientX - box.left) / box.width) * naturalWidth, y: ((clientY - box.top) / box.height) * naturalHeight };
  }

  #showRing(isShown: boolean): void {
    setAttribute(this.ring, "data-shown", isShown ? "" : null);
    this.#placeRing();
  }

  #placeRing(): void {
    const scale = this.frame.clientWidth / this.image.naturalWidth;
    this.ring.style.width = this.ring.style.height = `${this.#size * scale}px`;
    this.ring.style.left = `${this.#position.x * scale}px`;
    this.ring.style.top = `${this.#position.y * scale}px`;
  }
}
