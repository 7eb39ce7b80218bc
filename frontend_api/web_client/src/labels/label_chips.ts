/** The labels of a task as buttons that select the tasks with the same label. */

import type { TaskDocument } from "@darkroom/web";

import { create } from "../dom";
import { labelText, ownLabels } from "./labels";

/** Show the labels in a list; without labels it is hidden. The buttons have `data-label`. */
export function showLabelChips(list: HTMLElement, task: TaskDocument): void {
  const texts = ownLabels(task).map(labelText);
  list.hidden = texts.length === 0;
  const shown = Array.from(list.children, (item) => item.textContent);
  if (shown.length === texts.length && shown.every((text, index) => text === texts[index])) return;
  list.replaceChildren(...texts.map(chip));
}

function chip(text: string): HTMLElement {
  const button = Object.assign(create("button", "label", text), { type: "button", title: `Show only tasks with ${text}` });
  button.dataset.label = text;
  const item = create("li");
  item.append(button);
  return item;
}
