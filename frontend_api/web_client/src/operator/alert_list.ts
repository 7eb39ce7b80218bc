/** The list of alerts: firing ones first. */

import { byId, say, setAttribute } from "../dom";
import type { Alert } from "./operations";
import { whatToDo } from "./what_to_do";
import { STATE_WORDS, mostUrgentFirst, unbroken } from "./wording";

interface Item {
  readonly element: HTMLLIElement;
  readonly state: HTMLElement;
  readonly says: HTMLElement;
}

export class AlertList {
  readonly #list = byId("alerts", HTMLOListElement);
  /** By alert name. Items are reused, so that an open "What to do" and the focus survive an update. */
  readonly #items = new Map<string, Item>();

  show(alerts: readonly Alert[]): void {
    const wanted = mostUrgentFirst(alerts);
    wanted.forEach((alert, place) => {
      const item = this.#itemOf(alert);
      setAttribute(item.element, "data-state", alert.state);
      say(item.state, STATE_WORDS[alert.state]);
      say(item.says, unbroken(alert.says));
      const there = this.#list.children[place];
      if (there !== item.element) this.#list.insertBefore(item.element, there ?? null);
    });
  }

  #itemOf(alert: Alert): Item {
    const known = this.#items.get(alert.name);
    if (known !== undefined) return known;
    const element = document.createElement("li");
    element.className = "alert";
    element.dataset.testid = "alert";
    element.dataset.name = alert.name;
    const title = piece("h3", "alert__title", alert.title);
    const state = piece("p", "alert__state");
    const says = piece("p", "alert__says");
    element.append(title, state, says);
    const advice = whatToDo(alert.runbook, alert.title);
    if (advice !== null) element.append(advice);
    const item = { element, state, says };
    this.#items.set(alert.name, item);
    return item;
  }
}

function piece(tag: "h3" | "p", className: string, text = ""): HTMLElement {
  const element = document.createElement(tag);
  element.className = className;
  element.textContent = text;
  return element;
}
