/** The shown task as a program, in the language that the user chooses. */

import type { Parameters, TaskDocument } from "@darkroom/web";

import { byId, find, setText } from "../dom";
import { errorText } from "../problems";
import { type Language, codeSample } from "./code_samples";

export class CodePanel {
  readonly #panel = byId("viewer-code", HTMLDetailsElement);
  readonly #language = find(this.#panel, "select", HTMLSelectElement);
  readonly #code = find(this.#panel, "code", HTMLElement);
  #task: TaskDocument | null = null;

  constructor(private readonly request: (task: TaskDocument) => Promise<Parameters>) {
    this.#panel.addEventListener("toggle", () => void this.#show());
    this.#language.addEventListener("change", () => void this.#show());
  }

  get text(): string {
    return this.#code.textContent;
  }

  setTask(task: TaskDocument): void {
    this.#task = task;
    void this.#show();
  }

  async #show(): Promise<void> {
    const task = this.#task;
    if (task === null || !this.#panel.open) return;
    try {
      const parameters = await this.request(task);
      const page = location.href.replace(/[#?].*$/, "");
      if (this.#task === task) setText(this.#code, codeSample(this.#language.value as Language, parameters, page));
    } catch (error) {
      if (this.#task === task) setText(this.#code, errorText(error));
    }
  }
}
