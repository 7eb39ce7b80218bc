/** What is watched, as a list: those that want somebody first. */

import { byId, say, setAttribute } from "../dom";
import type { Condition } from "./operations";
import { whatToDo } from "./what_to_do";
import { STATE_WORDS, mostUrgentFirst, unbroken } from "./wording";

interface Item {
  readonly element: HTMLLIElement;
  readonly state: HTMLElement;
  readonly says: HTMLElement;
}

export class ConditionList {
  readonly #list = byId("conditions", HTMLOListElement);
  /** By their names: an item stays itself, so that what is unfolded in it stays so, and the focus where it is. */
  readonly #items = new Map<string, Item>();

  show(conditions: readonly Condition[]): void {
    const wanted = mostUrgentFirst(conditions);
    wanted.forEach((condition, place) => {
      const item = this.#itemOf(condition);
      setAttribute(item.element, "data-state", condition.state);
      say(item.state, STATE_WORDS[condition.state]);
      say(item.says, unbroken(condition.says));
      const there = this.#list.children[place];
      if (there !== item.element) this.#list.insertBefore(item.element, there ?? null);
    });
  }

  #itemOf(condition: Condition): Item {
    const known = this.#items.get(condition.name);
    if (known !== undefined) return known;
    const element = document.createElement("li");
    element.className = "condition";
    element.dataset.testid = "condition";
    element.dataset.name = condition.name;
    const title = piece("h3", "condition__title", condition.title);
    const state = piece("p", "condition__state");
    const says = piece("p", "condition__says");
    element.append(title, state, says);
    const advice = whatToDo(condition.runbook, condition.title);
    if (advice !== null) element.append(advice);
    const item = { element, state, says };
    this.#items.set(condition.name, item);
    return item;
  }
}

function piece(tag: "h3" | "p", className: string, text = ""): HTMLElement {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}
