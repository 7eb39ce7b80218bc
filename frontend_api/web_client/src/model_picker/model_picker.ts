/** The dialog that shows every model with an example picture and what it offers, and chooses one. */

import type { Model } from "@darkroom/web";

import { byId, create, find, setText } from "../dom";
import { modelLabel } from "../form/field_messages";
import { forget, whenNear } from "../near_viewport";
import { factsOf, offersOf } from "./model_facts";

/** A picture that a model generated. */
export interface ExamplePicture {
  readonly prompt: string;
  /** Return a URL for an <img>. The picker revokes a blob URL. */
  readonly source: () => Promise<string>;
}

export interface PickerActions {
  /** The pictures of a model, the preferred one first: the next one is shown if one cannot be loaded. */
  readonly pictures: (model: Model) => readonly ExamplePicture[];
  readonly choose: (name: string) => void;
}

const NO_PICTURE = "No picture yet";

export class ModelPicker {
  readonly #dialog = byId("models", HTMLDialogElement);
  readonly #list = find(this.#dialog, ".models__list", HTMLElement);

  constructor(private readonly actions: PickerActions) {
    find(this.#dialog, "form", HTMLFormElement).addEventListener("submit", () => { this.#choose(this.#chosen()); });
    this.#dialog.addEventListener("click", (event) => {
      const target = event.target as Element;
      const card = target.closest(".model");
      if (target === this.#dialog || target.closest("[data-action=close]")) this.#dialog.close();
      // The keyboard's clicks have no position: the arrow keys only move between the models.
      else if (card !== null && event.detail > 0) this.#choose(find(card, "input", HTMLInputElement).value);
    });
    this.#dialog.addEventListener("close", () => { this.#clear(); });
  }

  /** Show the models. `chosen` is the name of the current one. */
  open(models: readonly Model[], chosen: string): void {
    if (this.#dialog.open) return;
    this.#list.append(...models.map((model, index) => this.#card(model, `model-${index}`, model.name === chosen)));
    this.#dialog.showModal();
    find(this.#list, "input:checked", HTMLInputElement).focus();
  }

  #card(model: Model, id: string, isChosen: boolean): HTMLElement {
    const card = create("div", "model");
    const radio = Object.assign(create("input"), { type: "radio", name: "model-choice", value: model.name, checked: isChosen });
    radio.setAttribute("aria-describedby", id);
    const title = create("label", "model__title");
    title.append(radio, modelLabel(model));
    const facts = create("div", "model__facts");
    facts.id = id;
    if (model.description !== "") facts.append(create("p", "model__description", model.description));
    const offers = create("ul", "model__offers");
    offers.append(...offersOf(model).map((offer) => create("li", "", offer)));
    const prompt = create("p", "model__prompt");
    prompt.dir = "auto";
    facts.append(create("p", "", factsOf(model)), ...(offers.childElementCount > 0 ? [offers] : []), prompt);
    const picture = create("div", "model__picture", NO_PICTURE);
    card.append(picture, title, facts);
    void this.#showPicture(picture, prompt, this.actions.pictures(model));
    return card;
  }

  async #showPicture(frame: HTMLElement, caption: HTMLElement, pictures: readonly ExamplePicture[]): Promise<void> {
    if (pictures.length === 0) return;
    setText(frame, "");
    await whenNear(frame);
    for (const { prompt, source } of pictures) {
      const image = Object.assign(new Image(), { alt: "Example of the model's pictures" });
      try {
        image.src = await source();
        await image.decode();
      } catch {
        revoke(image);
        continue;
      }
      if (!frame.isConnected) revoke(image);
      frame.append(image);
      setText(caption, prompt);
      return;
    }
    setText(frame, NO_PICTURE);
  }

  #choose(name: string): void {
    this.#dialog.close();
    this.actions.choose(name);
  }

  #chosen(): string {
    return find(this.#list, "input:checked", HTMLInputElement).value;
  }

  #clear(): void {
    this.#list.querySelectorAll("img").forEach(revoke);
    this.#list.querySelectorAll(".model__picture").forEach(forget);
    this.#list.replaceChildren();
  }
}

function revoke(image: HTMLImageElement): void {
  if (image.src.startsWith("blob:")) URL.revokeObjectURL(image.src);
}
