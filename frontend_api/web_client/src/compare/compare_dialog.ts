/**
 * The dialog that shows two pictures over each other, with a divider between them.
 *
 * While it is open, the browser's history has an entry for it: Back closes it.
 */

import { byId, create, find, setText } from "../dom";
import { type Choice, type Compared, type Picture, captionOf, choicesFor } from "./compared";

export interface PictureSource {
  imageSource(taskId: string, index: number): Promise<string>;
  /** Return the bytes of an uploaded picture. */
  uploaded(id: string): Promise<Blob>;
}

type SideName = "left" | "right";

const MIDDLE = 50;

export class CompareDialog {
  readonly #dialog = byId("compare", HTMLDialogElement);
  readonly #frame = find(this.#dialog, ".compare__frame", HTMLElement);
  readonly #divider = byId("compare-divider", HTMLInputElement);
  readonly #with = byId("compare-with", HTMLSelectElement);
  readonly #message = find(this.#dialog, ".compare__message", HTMLElement);
  #choices: readonly Choice[] = [];
  #shown: Readonly<Record<SideName, Compared>> | null = null;

  constructor(private readonly source: PictureSource) {
    leaveAfterReload();
    this.#dialog.addEventListener("click", (event) => {
      const action = (event.target as Element).closest<HTMLElement>("[data-action]")?.dataset.action;
      if (action === "close" || event.target === this.#dialog) this.#dialog.close();
      else if (action === "swap") this.#swap();
    });
    this.#divider.addEventListener("input", () => { this.#showDivider(); });
    this.#with.addEventListener("change", () => {
      const picture = this.#choices[this.#with.selectedIndex]?.picture;
      const compared = this.#shown?.right;
      if (picture !== undefined && compared !== undefined) void this.#show(picture, compared);
    });
    this.#dragDivider();
    this.#dialog.addEventListener("close", () => {
      this.#shown = null;
      for (const side of ["left", "right"] as const) this.#setSource(side, "");
      if (isCompareState(history.state)) history.back();
    });
    addEventListener("popstate", () => { if (!isCompareState(history.state)) this.#dialog.close(); });
  }

  /** Compare two pictures. */
  open(left: Compared, right: Compared, choices: readonly Choice[] = []): void {
    this.#choices = choices;
    this.#with.replaceChildren(...choices.map(({ label }) => create("option", "", label)));
    find(this.#dialog, ".compare__with", HTMLElement).hidden = choices.length < 2;
    this.#divider.valueAsNumber = MIDDLE;
    this.#showDivider();
    history.pushState({ ...(history.state as object | null), compare: true }, "");
    this.#dialog.showModal();
    this.#divider.focus();
    void this.#show(left, right);
  }

  /** Compare a picture with its input picture or with one beside it in the list. */
  openFor(picture: Picture, pictures: readonly Picture[]): void {
    const choices = choicesFor(picture, pictures);
    if (choices[0] !== undefined) this.open(choices[0].picture, picture, choices);
  }

  #swap(): void {
    const shown = this.#shown;
    if (shown === null) return;
    // The menu sets the left picture.
    find(this.#dialog, ".compare__with", HTMLElement).hidden = true;
    void this.#show(shown.right, shown.left);
  }

  async #show(left: Compared, right: Compared): Promise<void> {
    const shown = { left, right };
    this.#shown = shown;
    setText(this.#message, "");
    this.#dialog.setAttribute("aria-busy", "true");
    const loaded = await Promise.allSettled([this.#load(left), this.#load(right)]);
    const images = loaded.map((result) => (result.status === "fulfilled" ? result.value : null));
    if (this.#shown !== shown) {
      for (const image of images) if (image !== null) revoke(image.src);
      return;
    }
    this.#dialog.removeAttribute("aria-busy");
    if (images.includes(null)) setText(this.#message, "A picture could not be loaded. It may have been deleted.");
    const ratios = images.flatMap((image) => (image === null ? [] : [image.naturalWidth / image.naturalHeight]));
    this.#frame.style.setProperty("--ratio", String(ratios.length === 0 ? 1 : Math.max(...ratios)));
    for (const [position, side] of (["left", "right"] as const).entries()) {
      const image = images[position] ?? null;
      this.#setSource(side, image?.src ?? "");
      const size = { width: image?.naturalWidth ?? 0, height: image?.naturalHeight ?? 0 };
      const { title, facts } = captionOf(shown[side], size);
      find(this.#dialog, `[data-layer=${side}] img`, HTMLImageElement).alt = title;
      setText(find(this.#dialog, `[data-caption=${side}] .compare__prompt`, HTMLElement), title);
      setText(find(this.#dialog, `[data-caption=${side}] .compare__facts`, HTMLElement), image === null ? "" : facts);
    }
  }

  async #load(compared: Compared): Promise<HTMLImageElement> {
    const source = "input" in compared
      ? URL.createObjectURL(await this.source.uploaded(compared.input))
      : await this.source.imageSource(compared.task.id, compared.index);
    const image = Object.assign(new Image(), { src: source });
    try {
      await image.decode();
    } catch (error) {
      revoke(source);
      throw error;
    }
    return image;
  }

  /** Show an image in a layer; empty: none. */
  #setSource(side: SideName, source: string): void {
    const image = find(this.#dialog, `[data-layer=${side}] img`, HTMLImageElement);
    revoke(image.src);
    image.hidden = source === "";
    if (source === "") image.removeAttribute("src");
    else image.src = source;
  }

  #showDivider(): void {
    const { value } = this.#divider;
    this.#frame.style.setProperty("--split", `${value}%`);
    this.#divider.ariaValueText = `${value} % of the left picture`;
  }

  /** The pointer moves the divider to itself. */
  #dragDivider(): void {
    const move = ({ clientX }: PointerEvent) => {
      const { left, width } = this.#frame.getBoundingClientRect();
      this.#divider.valueAsNumber = Math.round(((clientX - left) / width) * 100);
      this.#showDivider();
    };
    this.#frame.addEventListener("pointerdown", (event) => {
      if (!event.isPrimary || event.button !== 0) return;
      event.preventDefault();
      this.#divider.focus();
      this.#frame.setPointerCapture(event.pointerId);
      move(event);
    });
    this.#frame.addEventListener("pointermove", (event) => { if (this.#frame.hasPointerCapture(event.pointerId)) move(event); });
  }
}

/** The page was reloaded while the dialog was open: its entry is a second one of the viewer or the list. */
function leaveAfterReload(): void {
  const state = history.state as { viewer?: number } | null;
  if (isCompareState(state)) history.replaceState(state?.viewer === undefined ? null : { viewer: state.viewer + 1 }, "");
}

function isCompareState(state: unknown): boolean {
  return typeof state === "object" && state !== null && "compare" in state;
}

function revoke(source: string): void {
  if (source.startsWith("blob:")) URL.revokeObjectURL(source);
}
