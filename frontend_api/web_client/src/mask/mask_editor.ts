/** The dialog in which the user paints the mask of a picture. */

import { confirmed } from "../bulk/confirm";
import { byId, find, setAttribute, setText } from "../dom";
import { errorText } from "../problems";
import { shareText } from "./mask_pixels";
import { MaskStage } from "./mask_stage";
import type { Tool } from "./edits";

export interface MaskRequest {
  readonly picture: Blob;
  /** The mask to continue with. */
  readonly mask: Blob | null;
  /** Store the painted mask, an opaque PNG of the picture's size. The dialog stays open if it fails. */
  save(mask: Blob): Promise<void>;
}

type ActionName = "undo" | "redo" | "fill" | "invert" | "clear" | "smaller" | "larger" | "zoomOut" | "fit" | "zoomIn" | "brush" | "eraser" | "save" | "cancel";

const KEYS: Readonly<Record<string, ActionName>> = {
  b: "brush", e: "eraser", "[": "smaller", "]": "larger", i: "invert", "+": "zoomIn", "=": "zoomIn", "-": "zoomOut", "0": "fit",
};

export class MaskEditor {
  readonly #dialog = byId("mask", HTMLDialogElement);
  readonly #image = find(this.#dialog, "img", HTMLImageElement);
  readonly #size = byId("mask-size", HTMLInputElement);
  readonly #status = find(this.#dialog, ".mask__status", HTMLElement);
  readonly #message = find(this.#dialog, ".mask__message", HTMLElement);
  #stage: MaskStage | null = null;
  #request: MaskRequest | null = null;
  #isSaving = false;

  constructor() {
    this.#dialog.addEventListener("click", (event) => {
      const button = (event.target as Element).closest<HTMLElement>("[data-action]");
      if (button !== null && button.getAttribute("aria-disabled") !== "true") void this.#run(button.dataset.action as ActionName);
    });
    this.#dialog.addEventListener("change", (event) => {
      if (event.target instanceof HTMLInputElement && event.target.type === "radio") void this.#run(event.target.value as Tool);
    });
    this.#size.addEventListener("input", () => { if (this.#stage !== null) this.#stage.size = this.#size.valueAsNumber; });
    this.#dialog.addEventListener("keydown", (event) => { this.#onKey(event); });
    this.#dialog.addEventListener("cancel", (event) => {
      event.preventDefault();
      void this.#cancel();
    });
    this.#dialog.addEventListener("close", () => { this.#end(); });
  }

  /** Open the editor. Fails if the picture or the mask cannot be decoded. */
  async open(request: MaskRequest): Promise<void> {
    const mask = request.mask === null ? null : await createImageBitmap(request.mask);
    this.#image.src = URL.createObjectURL(request.picture);
    await this.#image.decode();
    this.#request = request;
    this.#dialog.showModal();
    const frame = find(this.#dialog, ".mask__frame", HTMLElement);
    const [stage, ring] = [find(this.#dialog, ".mask__stage", HTMLElement), find(frame, ".mask__ring", HTMLElement)];
    this.#stage = new MaskStage(stage, frame, ring, find(frame, "canvas", HTMLCanvasElement), this.#image, mask, () => { this.#show(); });
    mask?.close();
    Object.assign(this.#size, { min: this.#stage.sizes.smallest, max: this.#stage.sizes.largest });
    void this.#run("brush");
    stage.focus();
  }

  #end(): void {
    this.#stage?.dispose();
    this.#stage = this.#request = null;
    URL.revokeObjectURL(this.#image.src);
    this.#image.removeAttribute("src");
  }

  #onKey(event: KeyboardEvent): void {
    if (event.target instanceof Element && event.target.closest("dialog") !== this.#dialog) return;
    const isCommand = event.ctrlKey || event.metaKey;
    const key = event.key.toLowerCase();
    const name = !isCommand ? KEYS[key] : key === "y" || (key === "z" && event.shiftKey) ? "redo" : key === "z" ? "undo" : undefined;
    if (name === undefined || event.altKey) return;
    event.preventDefault();
    void this.#run(name);
  }

  async #run(name: ActionName): Promise<void> {
    const stage = this.#stage;
    if (stage === null || this.#isSaving) return;
    setText(this.#message, "");
    switch (name) {
      case "brush":
      case "eraser":
        stage.tool = name;
        find(this.#dialog, `input[value=${name}]`, HTMLInputElement).checked = true;
        break;
      case "undo": stage.undo(); break;
      case "redo": stage.redo(); break;
      case "fill":
      case "invert":
      case "clear": stage.add({ kind: name }); break;
      case "smaller": stage.stepSize(-1); break;
      case "larger": stage.stepSize(1); break;
      case "zoomIn": stage.zoom(1); break;
      case "zoomOut": stage.zoom(-1); break;
      case "fit": stage.zoom(0); break;
      case "save": await this.#save(stage); break;
      case "cancel": await this.#cancel(); break;
    }
    this.#show();
  }

  async #save(stage: MaskStage): Promise<void> {
    if (stage.share === 0) {
      setText(this.#message, "Paint the parts that are generated again first.");
      return;
    }
    this.#isSaving = true;
    this.#show();
    setText(this.#message, "Uploading");
    try {
      await this.#request?.save(await stage.toPng());
      this.#dialog.close();
    } catch (error) {
      setText(this.#message, errorText(error, "The mask could not be uploaded. Try again."));
    } finally {
      this.#isSaving = false;
    }
  }

  async #cancel(): Promise<void> {
    if (this.#isSaving) return;
    const question = {
      title: "Discard what you painted?",
      texts: ["The mask stays as it was before."],
      action: "Discard",
      otherwise: "Keep painting",
    };
    if (this.#stage?.history.canUndo !== true || (await confirmed(question))) this.#dialog.close();
  }

  #show(): void {
    const stage = this.#stage;
    if (stage === null) return;
    const isBlocked = { undo: !stage.history.canUndo, redo: !stage.history.canRedo, save: this.#isSaving, cancel: this.#isSaving };
    for (const [name, isDisabled] of Object.entries(isBlocked))
      setAttribute(find(this.#dialog, `[data-action=${name}]`, HTMLElement), "aria-disabled", isDisabled ? "true" : null);
    this.#size.valueAsNumber = stage.size;
    setText(find(this.#dialog, ".mask__pixels", HTMLElement), `${stage.size} px`);
    setText(find(this.#dialog, ".mask__zoom", HTMLElement), `${stage.percent} %`);
    setText(this.#status, shareText(stage.share));
  }
}
