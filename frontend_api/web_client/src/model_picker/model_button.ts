/** The button that opens the model picker, which is loaded with the first click. */

import type { Model } from "@darkroom/web";

import { byId, setText } from "../dom";
import type { ModelPicker, PickerActions } from "./model_picker";

export class ModelButton {
  readonly #button = byId("show-models", HTMLButtonElement);
  readonly #menu = byId("model", HTMLSelectElement);
  #models: readonly Model[] = [];
  #picker: ModelPicker | null = null;

  constructor(pictures: PickerActions["pictures"], onError: (error: unknown) => void) {
    this.#button.addEventListener("click", () => { this.#open(pictures).catch(onError); });
  }

  setModels(models: readonly Model[]): void {
    this.#models = models;
    setText(this.#button, models.length > 1 ? "Compare models" : "About this model");
    this.#button.disabled = false;
  }

  async #open(pictures: PickerActions["pictures"]): Promise<void> {
    const { ModelPicker } = await import("./model_picker");
    this.#picker ??= new ModelPicker({ pictures, choose: (name) => { this.#choose(name); } });
    this.#picker.open(this.#models, this.#menu.value);
  }

  /** Choose the model in the form's menu, as the user would. */
  #choose(name: string): void {
    if (name === this.#menu.value) return;
    this.#menu.value = name;
    this.#menu.dispatchEvent(new Event("input", { bubbles: true }));
  }
}
