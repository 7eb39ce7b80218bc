/** Zoom and panning of an image in a scrollable stage. Fitted images are as large as the stage permits. */

const FACTOR = 1.5;
const MIN_SCALE = 0.25;
const MAX_SCALE = 8;
/** A pointer that moved further pans the image, and its release is no click. */
const DRAG_PIXELS = 5;

/** Pure. The next scale, limited to sensible values; passing the scale of the fitted image outwards fits it again (null). */
export function nextScale(scale: number, fittedScale: number, direction: 1 | -1): number | null {
  const next = direction === 1 ? scale * FACTOR : scale / FACTOR;
  if (direction === -1 && next <= fittedScale * 1.01) return null;
  return Math.min(MAX_SCALE, Math.max(MIN_SCALE, next));
}

export class Zoom {
  /** CSS pixels per pixel of the image; null: fitted. */
  #scale: number | null = null;

  constructor(private readonly stage: HTMLElement, private readonly image: HTMLImageElement, private readonly onChange: (percent: number | null) => void) {
    stage.addEventListener("wheel", (event) => {
      if (!event.ctrlKey) return;
      event.preventDefault();
      this.step(event.deltaY < 0 ? 1 : -1);
    }, { passive: false });
    this.#panByMouse();
  }

  get isFitted(): boolean {
    return this.#scale === null;
  }

  fit(): void {
    this.#set(null);
  }

  /** One pixel of the image is one pixel of the screen. */
  showActualSize(): void {
    this.#set(1 / devicePixelRatio);
  }

  toggle(): void {
    if (this.isFitted) this.showActualSize();
    else this.fit();
  }

  step(direction: 1 | -1): void {
    const fitted = this.#fittedScale();
    this.#set(nextScale(this.#scale ?? fitted, fitted, direction));
  }

  #fittedScale(): number {
    const { naturalWidth, naturalHeight } = this.image;
    if (naturalWidth === 0) return 1;
    return Math.min(this.stage.clientWidth / naturalWidth, this.stage.clientHeight / naturalHeight);
  }

  #set(scale: number | null): void {
    const { stage, image } = this;
    const centerX = (stage.scrollLeft + stage.clientWidth / 2) / stage.scrollWidth;
    const centerY = (stage.scrollTop + stage.clientHeight / 2) / stage.scrollHeight;
    this.#scale = scale;
    stage.classList.toggle("is-zoomed", scale !== null);
    image.style.width = scale === null ? "" : `${image.naturalWidth * scale}px`;
    stage.scrollLeft = centerX * stage.scrollWidth - stage.clientWidth / 2;
    stage.scrollTop = centerY * stage.scrollHeight - stage.clientHeight / 2;
    this.onChange(scale === null ? null : Math.round(scale * devicePixelRatio * 100));
  }

  /** A mouse drags a zoomed image; a click toggles the zoom. Touch scrolls the stage by itself. */
  #panByMouse(): void {
    const { stage } = this;
    let from: { x: number; y: number; left: number; top: number; hasMoved: boolean } | null = null;
    stage.addEventListener("pointerdown", (event) => {
      if (event.pointerType !== "mouse" || event.button !== 0) return;
      from = { x: event.clientX, y: event.clientY, left: stage.scrollLeft, top: stage.scrollTop, hasMoved: false };
    });
    stage.addEventListener("pointermove", (event) => {
      if (from === null) return;
      const [x, y] = [event.clientX - from.x, event.clientY - from.y];
      from.hasMoved ||= Math.hypot(x, y) > DRAG_PIXELS;
      if (from.hasMoved) stage.scrollTo(from.left - x, from.top - y);
    });
    for (const end of ["pointerleave", "pointercancel"]) stage.addEventListener(end, () => { from = null; });
    stage.addEventListener("click", () => {
      if (from?.hasMoved !== true) this.toggle();
      from = null;
    });
  }
}

/** Call back with 1 (next) or -1 (previous) when a finger swipes the element sideways. */
export function onSwipe(element: HTMLElement, isEnabled: () => boolean, callback: (direction: 1 | -1) => void): void {
  let start: PointerEvent | null = null;
  element.addEventListener("pointerdown", (event) => { start = event.pointerType === "mouse" || !event.isPrimary ? null : event; });
  element.addEventListener("pointercancel", () => { start = null; });
  element.addEventListener("pointerup", (event) => {
    if (start === null || !isEnabled()) return;
    const [x, y] = [event.clientX - start.clientX, event.clientY - start.clientY];
    start = null;
    if (Math.abs(x) > 40 && Math.abs(x) > 2 * Math.abs(y)) callback(x < 0 ? 1 : -1);
  });
}
