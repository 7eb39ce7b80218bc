/** A field that contains the id of an uploaded picture: choose or drop a file, see it, remove it. */

import { find, setText } from "../dom";

export interface PictureStore {
  /** Upload a picture, and return its id. */
  upload(picture: Blob): Promise<string>;
  /** Return the bytes of an uploaded picture. */
  uploaded(id: string): Promise<Blob>;
}

/** `replaced`: the user chose, removed or filled in another picture before the upload ended. */
export type Choice = "used" | "failed" | "replaced";

export class PictureField {
  readonly #id: HTMLInputElement;
  readonly #file: HTMLInputElement;
  readonly #preview: HTMLImageElement;
  readonly #remove: HTMLButtonElement;
  readonly #state: HTMLElement;
  /** The id whose picture is visible. */
  #shown = "";
  /** The upload whose picture the field will have. A later choice replaces it. */
  #upload: Promise<string> | null = null;

  /** `onChange` is called after the user chose or removed a picture, `onError` with a failed upload. */
  constructor(
    private readonly field: HTMLElement,
    private readonly store: PictureStore,
    private readonly onChange: (isOther: boolean) => void,
    private readonly onError: (error: unknown) => void,
  ) {
    this.#id = find(field, "input[type=hidden]", HTMLInputElement);
    this.#file = find(field, "input[type=file]", HTMLInputElement);
    this.#preview = find(field, "img", HTMLImageElement);
    this.#remove = find(field, "[data-action=remove]", HTMLButtonElement);
    this.#state = find(field, "[role=status]", HTMLElement);
    this.#file.addEventListener("change", () => { this.#chooseFirst(this.#file.files); });
    this.#remove.addEventListener("click", () => {
      this.remove();
      this.#file.focus();
    });
    field.addEventListener("dragover", (event) => { event.preventDefault(); });
    field.addEventListener("drop", (event) => {
      event.preventDefault();
      // Not also a drop on the page.
      event.stopPropagation();
      this.#chooseFirst(event.dataTransfer?.files);
    });
  }

  #chooseFirst(files: FileList | null | undefined): void {
    const picture = files?.[0];
    if (picture !== undefined) void this.choose(picture);
  }

  get id(): string {
    return this.#id.value;
  }

  /** Whether a picture is being uploaded that the next task would have. */
  get isUploading(): boolean {
    return this.#upload !== null && !this.field.hidden;
  }

  /** Do not use the picture that is being uploaded: the form sets another one, or none. */
  abandonUpload(): void {
    if (this.#upload === null) return;
    this.#upload = null;
    this.#showWithoutUpload();
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

  /** Upload a picture and use it, unless another one replaces it meanwhile. Return whether it is used. */
  async use(picture: Blob): Promise<boolean> {
    const upload = (this.#upload = this.store.upload(picture));
    const id = await upload.catch((error: unknown) => {
      if (this.#upload !== upload) return null;
      this.#upload = null;
      throw error;
    });
    if (id === null || this.#upload !== upload) return false;
    this.#change(id, picture);
    return true;
  }

  remove(): void {
    this.#change("", null);
  }

  /** Use a picture that the user chose, and report a failure. */
  async choose(picture: Blob): Promise<Choice> {
    setText(this.#state, "Uploading");
    this.#remove.hidden = false;
    try {
      return (await this.use(picture)) ? "used" : "replaced";
    } catch (error) {
      this.#showWithoutUpload();
      this.onError(error);
      return "failed";
    }
  }

  /** Show the picture as it was before an upload. */
  #showWithoutUpload(): void {
    this.#file.value = "";
    setText(this.#state, "");
    if (document.activeElement === this.#remove) this.#file.focus();
    this.#remove.hidden = this.id === "";
  }

  #change(id: string, picture: Blob | null): void {
    this.#upload = null;
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
