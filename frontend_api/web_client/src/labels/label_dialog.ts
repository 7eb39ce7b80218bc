/** The dialog that sets and removes labels of one or many tasks. */

import type { LabelChange, TaskDocument } from "@darkroom/web";

import { byId, create, find, setText } from "../dom";
import { showAtField } from "../form/field_messages";
import { countedLabels, labelText, parseLabel } from "./labels";

export class LabelDialog {
  readonly #dialog = byId("labels", HTMLDialogElement);
  readonly #field = find(this.#dialog, "[data-field=new-label]", HTMLElement);
  readonly #input = find(this.#field, "input", HTMLInputElement);
  readonly #list = find(this.#dialog, "ul", HTMLElement);
  #tasks: readonly TaskDocument[] = [];
  #apply: (change: LabelChange) => void = () => undefined;

  constructor() {
    find(this.#dialog, "form", HTMLFormElement).addEventListener("submit", (event) => {
      event.preventDefault();
      this.#add();
    });
    this.#dialog.addEventListener("click", (event) => {
      const button = (event.target as Element).closest<HTMLElement>("button[data-name], [data-action=close]");
      if (event.target === this.#dialog || button?.dataset.action === "close") this.#dialog.close();
      else if (button?.dataset.name !== undefined) this.#finish({ [button.dataset.name]: null });
    });
  }

  /** Ask for a change of the labels of these tasks. */
  open(tasks: readonly TaskDocument[], apply: (change: LabelChange) => void): void {
    [this.#tasks, this.#apply] = [tasks, apply];
    setText(find(this.#dialog, "h2", HTMLElement), tasks.length === 1 ? "Labels of this task" : `Labels of ${tasks.length} tasks`);
    this.#input.value = "";
    showAtField(this.#field, "error", "");
    this.#list.replaceChildren(...countedLabels(tasks).map((label) => this.#row(label.name, labelText(label), label.count)));
    this.#list.hidden = this.#list.children.length === 0;
    this.#dialog.showModal();
    this.#input.focus();
  }

  #row(name: string, text: string, count: number): HTMLElement {
    const row = create("li", "labels__row");
    const button = Object.assign(create("button", "button button--small", "Remove"), { type: "button" });
    button.dataset.name = name;
    button.setAttribute("aria-label", `Remove label ${name}`);
    row.append(create("span", "labels__text", this.#tasks.length === 1 ? text : `${text} (${count})`), button);
    return row;
  }

  #add(): void {
    const label = parseLabel(this.#input.value);
    showAtField(this.#field, "error", typeof label === "string" ? label : "");
    if (typeof label === "string") this.#input.focus();
    else this.#finish({ [label.name]: label.value });
  }

  #finish(change: LabelChange): void {
    this.#dialog.close();
    this.#apply(change);
  }
}
