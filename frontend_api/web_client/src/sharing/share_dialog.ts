/** The dialog that creates links to a picture, and lists and revokes those of its task. */

import type { TaskDocument } from "@darkroom/web";

import { copyFrom } from "../copy_text";
import { byId, find, setText } from "../dom";
import { KeyedList } from "../keyed_list";
import { errorText } from "../problems";
import { RevocableItem } from "../revocable_item";
import { type Share, type SharesApi, shareFacts, shareTitle } from "./shares";

interface SharedPicture {
  readonly task: TaskDocument;
  readonly index: number;
}

const HOURS_PER_DAY = 24;

export class ShareDialog {
  readonly #dialog = byId("share", HTMLDialogElement);
  readonly #hours = find(this.#dialog, "select", HTMLSelectElement);
  readonly #create = find(this.#dialog, "[data-action=create]", HTMLButtonElement);
  readonly #new = find(this.#dialog, ".secret", HTMLElement);
  readonly #url = find(this.#dialog, "input", HTMLInputElement);
  readonly #message = find(this.#dialog, ".dialog__message", HTMLElement);
  readonly #active = find(this.#dialog, ".share__active", HTMLElement);
  readonly #list: KeyedList<Share>;
  #picture: SharedPicture | null = null;

  constructor(private readonly api: SharesApi) {
    this.#list = new KeyedList<Share>(
      find(this.#dialog, "ul", HTMLElement),
      ({ id }) => id,
      (share) => new RevocableItem(share, (one) => this.#textOf(one), (one) => void this.#revoke(one)),
      "share-close",
    );
    this.#dialog.addEventListener("click", (event) => {
      const target = event.target as Element;
      const action = target.closest<HTMLElement>("[data-action]")?.dataset.action;
      if (target === this.#dialog || action === "close") this.#dialog.close();
      else if (action === "create") void this.#createLink();
      else if (action === "copy") void this.#copy("Link copied.");
    });
    this.#dialog.addEventListener("close", () => {
      this.#picture = null;
      this.#list.show([]);
    });
  }

  /** Offer links that are valid for so many days at most; with 0 no links, and no button for them. */
  limitTo(maxDays: number): void {
    find(byId("viewer", HTMLElement), "[data-action=share]", HTMLButtonElement).hidden = maxDays === 0;
    for (const option of [...this.#hours.options]) if (Number(option.value) > HOURS_PER_DAY * maxDays) option.remove();
    if (this.#hours.selectedOptions[0]?.defaultSelected !== true) this.#hours.selectedIndex = this.#hours.options.length - 1;
  }

  open(task: TaskDocument, index: number): void {
    this.#picture = { task, index };
    this.#showUrl("");
    setText(this.#message, "");
    this.#active.hidden = true;
    this.#dialog.showModal();
    void this.#refresh(this.#picture);
  }

  async #createLink(): Promise<void> {
    const picture = this.#picture;
    if (picture === null || this.#create.getAttribute("aria-disabled") === "true") return;
    // The attribute `disabled` would remove the focus from the button.
    this.#create.setAttribute("aria-disabled", "true");
    try {
      const url = await this.api.create(picture.task.id, picture.index, Number(this.#hours.value));
      if (this.#picture !== picture) return;
      this.#showUrl(url);
      await this.#copy("Link created and copied.");
      await this.#refresh(picture);
    } catch (error) {
      if (this.#picture === picture) setText(this.#message, errorText(error));
    } finally {
      this.#create.removeAttribute("aria-disabled");
    }
  }

  async #copy(confirmation: string): Promise<void> {
    setText(this.#message, await copyFrom(this.#url, confirmation));
  }

  async #revoke(share: Share): Promise<void> {
    const picture = this.#picture;
    if (picture === null) return;
    try {
      await this.api.revoke(picture.task.id, share.id);
      setText(this.#message, "The link shows nothing any more.");
      // It may be the address of this link.
      this.#showUrl("");
      await this.#refresh(picture);
    } catch (error) {
      if (this.#picture === picture) setText(this.#message, errorText(error));
    }
  }

  async #refresh(picture: SharedPicture): Promise<void> {
    try {
      const shares = await this.api.list(picture.task.id);
      if (this.#picture !== picture) return;
      this.#list.show(shares);
      this.#active.hidden = shares.length === 0;
    } catch (error) {
      if (this.#picture === picture) setText(this.#message, errorText(error));
    }
  }

  #showUrl(url: string): void {
    this.#url.value = url;
    this.#new.hidden = url === "";
  }

  #textOf(share: Share): { title: string; facts: string } {
    return { title: shareTitle(share, this.#picture?.task.imageCount ?? 1), facts: shareFacts(share) };
  }
}
