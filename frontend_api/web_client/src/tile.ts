/**
 * One picture in its tray: previews that sharpen while it is being drawn, then the picture itself, crossfaded.
 *
 * A preview is shown only once it is decoded, and the last one stays until the next layer has faded in, so nothing
 * flickers and nothing moves. Object URLs live as long as the layer that shows them.
 */

import type { Preview } from "./task_document";

export class Tile {
  readonly element: HTMLButtonElement;
  #shownStep = -1;
  #newest: HTMLImageElement | null = null;
  #image: HTMLImageElement | null = null;
  #imageKey: string | null = null;
  #loadAgain: (() => void) | null = null;

  constructor(opened: () => void) {
    this.element = document.createElement("button");
    this.element.type = "button";
    this.element.className = "tile";
    this.element.disabled = true;
    this.element.ariaHidden = "true";
    this.element.addEventListener("click", () => {
      if (this.#loadAgain === null) opened();
      else this.#loadAgain();
    });
  }

  /** The address that the finished picture is shown from; null until it is there. */
  get shownSource(): string | null {
    return this.#image?.src ?? null;
  }

  showPreview(preview: Preview): void {
    if (preview.step === this.#shownStep || this.#imageKey !== null) return;
    this.#shownStep = preview.step;
    const bytes = new Blob([preview.data as BlobPart], { type: preview.contentType });
    const layer = this.#layer("tile__preview", "task-preview");
    layer.alt = "";
    layer.src = URL.createObjectURL(bytes);
    layer.decode().then(
      () => { this.#place(layer, preview.step); },
      () => { URL.revokeObjectURL(layer.src); },
    );
  }

  /** The attempt was lost or ended without a picture: back to a blank sheet. */
  clearPreviews(): void {
    if (this.#imageKey !== null || this.#newest === null) return;
    this.#shownStep = -1;
    const last = this.#newest;
    this.#newest = null;
    last.classList.remove("is-shown");
    setTimeout(() => { drop(last); }, PREVIEW_FADE_MILLISECONDS);
  }

  /** Show the finished picture. `key` names its content: asking again for the same one does nothing. */
  async showImage(key: string, source: () => Promise<string>, description: string): Promise<void> {
    if (key === this.#imageKey) return;
    this.#imageKey = key;
    this.element.classList.remove("is-missing");
    this.#loadAgain = null;
    const layer = this.#layer("tile__image", "task-image");
    layer.alt = description;
    try {
      layer.src = await source();
      await layer.decode();
    } catch {
      this.#imageKey = null;
      this.#loadAgain = () => void this.showImage(key, source, description);
      this.element.classList.add("is-missing");
      this.#allowClicks();
      return;
    }
    if (this.#imageKey !== key) return;
    const earlier = [...this.element.children];
    this.#image = layer;
    this.#allowClicks();
    this.#reveal(layer);
    setTimeout(() => { earlier.forEach(drop); }, IMAGE_FADE_MILLISECONDS);
  }

  /** The card is going away. */
  dispose(): void {
    [...this.element.children].forEach(drop);
  }

  #place(layer: HTMLImageElement, step: number): void {
    // Decoding is asynchronous: a newer preview, or the picture, may have been placed meanwhile.
    if (step !== this.#shownStep || this.#image !== null) {
      drop(layer);
      return;
    }
    const earlier = this.#newest;
    earlier?.removeAttribute("data-testid");
    this.#newest = layer;
    this.#reveal(layer);
    if (earlier) setTimeout(() => { drop(earlier); }, PREVIEW_FADE_MILLISECONDS);
  }

  #reveal(layer: HTMLImageElement): void {
    this.element.append(layer);
    // Asking for a computed value makes the browser see the layer transparent first, so that it fades in.
    getComputedStyle(layer).getPropertyValue("opacity");
    layer.classList.add("is-shown");
  }

  #allowClicks(): void {
    this.element.disabled = false;
    this.element.ariaHidden = null;
  }

  #layer(className: string, testId: string): HTMLImageElement {
    const layer = new Image();
    layer.className = className;
    layer.dataset.testid = testId;
    layer.draggable = false;
    return layer;
  }
}

/** As long as the fades in styles/tray.css take. */
const PREVIEW_FADE_MILLISECONDS = 600;
const IMAGE_FADE_MILLISECONDS = 1_400;

function drop(layer: Element): void {
  if (layer instanceof HTMLImageElement && layer.src.startsWith("blob:")) URL.revokeObjectURL(layer.src);
  layer.remove();
}
