/** The form's fields for uploaded pictures, and the button that paints the mask. */

import { byId, find, setText } from "../dom";
import { errorText } from "../problems";
import type { MaskEditor } from "../mask/mask_editor";
import { PICTURE_NAMES, type PictureName } from "./fields";
import { type Choice, PictureField, type PictureStore } from "./picture_field";

export interface PictureFieldEvents {
  /** The user changed the id of a picture. */
  onChange(name: PictureName): void;
  showMessage(kind: "error" | "note", name: PictureName, message: string): void;
}

const NO_UPLOAD = "The picture could not be uploaded.";

export class PictureFields {
  readonly #fields: Readonly<Record<PictureName, PictureField>>;
  readonly #paint = byId("paint-mask", HTMLButtonElement);
  #editor: MaskEditor | null = null;

  constructor(form: HTMLFormElement, private readonly store: PictureStore, private readonly events: PictureFieldEvents) {
    const field = (name: PictureName) => new PictureField(
      find(form, `[data-field="${name}"]`, HTMLElement),
      store,
      (isOther) => {
        events.onChange(name);
        if (isOther && name === "image") this.#removeMask();
      },
      (error) => { events.showMessage("error", name, errorText(error, NO_UPLOAD)); },
    );
    this.#fields = Object.fromEntries(PICTURE_NAMES.map((name) => [name, field(name)])) as Record<PictureName, PictureField>;
    this.#paint.addEventListener("click", () => {
      if (this.#paint.getAttribute("aria-disabled") !== "true") void this.#paintMask();
    });
  }

  /** Upload this picture, and start from it. Its field shows an error. */
  startFrom(picture: Blob): Promise<Choice> {
    return this.#fields.image.choose(picture);
  }

  get areUploading(): boolean {
    return PICTURE_NAMES.some((name) => this.#fields[name].isUploading);
  }

  /** Do not use the pictures that are being uploaded for these fields. */
  abandonUploads(names: readonly PictureName[]): void {
    for (const name of names) this.#fields[name].abandonUpload();
  }

  /** Show the pictures of the ids that the form has set. */
  refresh(): void {
    for (const name of PICTURE_NAMES) void this.#fields[name].refresh();
    setText(this.#paint, this.#fields.mask_image.id === "" ? "Paint mask" : "Edit mask");
  }

  /** A mask belongs to one picture. */
  #removeMask(): void {
    const mask = this.#fields.mask_image;
    if (mask.id === "" && !mask.isUploading) return;
    mask.remove();
    this.#noteRemovedMask();
  }

  #noteRemovedMask(): void {
    this.events.showMessage("note", "mask_image", "The mask was removed: it belongs to the earlier picture.");
  }

  async #paintMask(): Promise<void> {
    const { image, mask_image: mask } = this.#fields;
    if (image.isUploading) {
      this.events.showMessage("error", "mask_image", "The picture is being uploaded. Paint its mask when the form shows it.");
      return;
    }
    const { id } = image;
    this.#paint.setAttribute("aria-disabled", "true");
    this.events.showMessage("error", "mask_image", "");
    try {
      const [picture, earlier, { MaskEditor }] = await Promise.all([
        this.store.uploaded(id),
        mask.id === "" ? null : this.store.uploaded(mask.id).catch(() => null),
        import("../mask/mask_editor"),
      ]);
      this.#editor ??= new MaskEditor();
      // The picture may have been replaced meanwhile.
      const save = async (painted: Blob) => {
        if (image.id !== id || !(await mask.use(painted))) this.#noteRemovedMask();
      };
      if (image.id === id) await this.#editor.open({ picture, mask: earlier, save });
    } catch (error) {
      this.events.showMessage("error", "mask_image", errorText(error, "The picture could not be opened. Choose it again."));
    } finally {
      this.#paint.removeAttribute("aria-disabled");
    }
  }
}
