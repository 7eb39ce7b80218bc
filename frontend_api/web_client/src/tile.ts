/**
 * One image of a task: its previews while it is generated, then the finished image.
 *
 * A layer is shown when it is decoded and stays until the next one has faded in, so the tile never flickers. An object
 * URL is revoked together with its layer.
 */

import type { Preview } from "@darkroom/web";

import { create } from "./dom";
import { forget, whenNear } from "./near_viewport";

/** The durations of the fades in styles/tiles.css. */
const PREVIEW_FADE_MILLISECONDS = 250;
const IMAGE_FADE_MILLISECONDS = 700;
const MISSING = "The image could not be loaded. Press to try again.";

export class Tile {
  readonly element = create("button", "tile");
  #newestStep = -1;
  #newest: HTMLImageElement | null = null;
  #image: HTMLImageElement | null = null;
  #imageKey: string | null = null;
  #retry: (() => void) | null = null;

  /** `open` gets the URL of the shown image, if it is loaded. `drag` adds the whole image to what is dragged. */
  constructor(open: (source: string | undefined) => void, drag: (data: DataTransfer) => void) {
    this.element.type = "button";
    this.element.disabled = true;
    this.element.ariaHidden = "true";
    this.element.addEventListener("dragstart", ({ dataTransfer }) => {
      // A blob: URL means that the API requires credentials, which other programs do not have.
      const isPublic = this.#image !== null && !this.#image.src.startsWith("blob:");
      if (isPublic && dataTransfer !== null) drag(dataTransfer);
    });
    this.element.addEventListener("click", () => {
      if (this.#retry !== null) this.#retry();
      else open(this.#image?.src);
    });
  }

  /** Decode a preview. Returns a function that shows it, or null if it is shown or decoded already. */
  async decodePreview(preview: Preview): Promise<(() => void) | null> {
    if (preview.step === this.#newestStep || this.#imageKey !== null) return null;
    this.#newestStep = preview.step;
    const layer = this.#layer("tile__preview", "task-preview");
    layer.alt = "";
    // Unlike an object URL, it needs no other process of the browser.
    layer.src = `data:${preview.contentType};base64,${base64(preview.data)}`;
    try {
      await layer.decode();
    } catch {
      return null;
    }
    return () => { this.#showLayer(layer, preview.step); };
  }

  /** Remove the previews, unless the finished image is shown. */
  clearPreviews(): void {
    if (this.#imageKey !== null || this.#newest === null) return;
    this.#newestStep = -1;
    const last = this.#newest;
    this.#newest = null;
    last.classList.remove("is-shown");
    setTimeout(() => { remove(last); }, PREVIEW_FADE_MILLISECONDS);
  }

  /** Show the finished image. `key` identifies its content: a second call with the same key does nothing. */
  async showImage(key: string, source: () => Promise<string>, description: string): Promise<void> {
    if (key === this.#imageKey) return;
    this.#imageKey = key;
    this.element.classList.remove("is-missing");
    this.element.ariaLabel = description;
    this.element.classList.add("is-loading");
    this.#retry = null;
    this.#allowClicks();
    const layer = this.#layer("tile__image", "task-image");
    layer.alt = description;
    try {
      await whenNear(this.element);
      layer.src = await source();
      await layer.decode();
    } catch {
      this.#imageKey = null;
      this.#retry = () => void this.showImage(key, source, description);
      this.element.classList.remove("is-loading");
      this.element.classList.add("is-missing");
      this.element.ariaLabel = MISSING;
      return;
    }
    if (this.#imageKey !== key) {
      remove(layer);
      return;
    }
    const earlier = [...this.element.children];
    this.#image = layer;
    this.element.classList.remove("is-loading");
    // The picture has the name.
    this.element.ariaLabel = null;
    this.#fadeIn(layer);
    setTimeout(() => { earlier.forEach(remove); }, IMAGE_FADE_MILLISECONDS);
  }

  dispose(): void {
    this.#imageKey = null;
    forget(this.element);
    [...this.element.children].forEach(remove);
  }

  #showLayer(layer: HTMLImageElement, step: number): void {
    // A newer preview or the finished image may have been decoded first.
    if (step !== this.#newestStep || this.#image !== null) {
      remove(layer);
      return;
    }
    const earlier = this.#newest;
    earlier?.removeAttribute("data-testid");
    this.#newest = layer;
    this.#fadeIn(layer);
    if (earlier) setTimeout(() => { remove(earlier); }, PREVIEW_FADE_MILLISECONDS);
  }

  #fadeIn(layer: HTMLImageElement): void {
    layer.classList.add("is-shown");
    this.element.append(layer);
  }

  #allowClicks(): void {
    this.element.disabled = false;
    this.element.ariaHidden = null;
  }

  #layer(className: string, testId: string): HTMLImageElement {
    const layer = Object.assign(new Image(), { className, draggable: className === "tile__image" });
    layer.dataset.testid = testId;
    return layer;
  }
}

function remove(layer: Element): void {
  if (layer instanceof HTMLImageElement && layer.src.startsWith("blob:")) URL.revokeObjectURL(layer.src);
  layer.remove();
}

function base64(bytes: Uint8Array): string {
  return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
}
