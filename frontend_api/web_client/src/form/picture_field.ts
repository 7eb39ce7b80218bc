/** A field that contains the id of an uploaded picture: choose or drop a file, see it, remove it. */

import { find, setText } from "../dom";

export interface PictureStore {
  /** Upload a picture, and return its id. */
  upload(picture: Blob): Promise<string>;
  /** Return the bytes of an uploaded picture. */
  uploaded(id: string): Promise<Blob>;
}

export class PictureField {
  readonly #id: HTMLInputElement;
  readonly #file: HTMLInputElement;
  readonly #preview: HTMLImageElement;
  readonly #remove: HTMLButtonElement;
  readonly #state: HTMLElement;
  /** The id whose picture is visible. */
  #shown = "";

  /** `onChange` is called after the user chose or removed a picture, `onError` with a failed upload. */
  constructor(
    field: HTMLElement,
    private readonly store: PictureStore,
    private readonly onChange: (isOther: boolean) => void,
    private readonly onError: (error: unknown) => void,
  ) {
    this.#id = find(field, "input[type=hidden]", HTMLInputElement);
    this.#file = find(field, "input[type=file]", HTMLInputElement);
    this.#preview = find(field, "img", HTMLImageElement);
    this.#remove = find(field, "[data-action=remove]", HTMLButtonElement);
    this.#state = find(field, "[role=status]", HTMLElement);
    this.#file.addEventListener("change", () => void this.choose(this.#file.files?.[0]));
    this.#remove.addEventListener("click", () => {
      this.remove();
      this.#file.focus();
    });
    field.addEventListener("dragover", (event) => { event.preventDefault(); });
    field.addEventListener("drop", (event) => {
      event.preventDefault();
      // Not also a drop on the page.
      event.stopPropagation();
      void this.choose(event.dataTransfer?.files[0]);
    });
  }

  get id(): string {
    return this.#id.value;
  }

  /** Show the picture of the id that the form has set. */
  async refresh(): Promise<void> {
    const id = this.#id.value;
    if (id === this.#shown) return;
    this.#show(id, null);
    if (id === "") return;
    try {
      const picture = await this.store.uploaded(id);
      if (this.#id.value === id) this.#show(id, picture);
    } catch {
      // The submission reports an id that does not exist any more.
      if (this.#id.value === id) setText(this.#state, "The picture cannot be shown. Choose it again.");
    }
  }

  /** Upload a picture and use it. */
  async use(picture: Blob): Promise<void> {
    this.#change(await this.store.upload(picture), picture);
  }

  remove(): void {
    this.#change("", null);
  }

  /** Use a picture that the user chose, and report a failure. Return whether it is used. */
  async choose(picture: Blob | undefined): Promise<boolean> {
    if (picture === undefined) return false;
    setText(this.#state, "Uploading");
    try {
      await this.use(picture);
      return true;
    } catch (error) {
      this.#file.value = "";
      setText(this.#state, "");
      this.onError(error);
      return false;
    }
  }

  #change(id: string, picture: Blob | null): void {
    const isOther = id !== this.#id.value;
    this.#id.value = id;
    this.#show(id, picture);
    this.onChange(isOther);
  }

  #show(id: string, picture: Blob | null): void {
    this.#shown = id;
    URL.revokeObjectURL(this.#preview.src);
    this.#preview.hidden = picture === null;
    if (picture === null) this.#preview.removeAttribute("src");
    else this.#preview.src = URL.createObjectURL(picture);
    this.#remove.hidden = id === "";
    if (id === "") this.#file.value = "";
    setText(this.#state, "");
  }
}
