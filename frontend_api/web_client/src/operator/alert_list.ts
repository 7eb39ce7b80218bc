/** The list of alerts, firing ones first. */

import { byId, create, setAttribute, setText } from "../dom";
import { type ItemView, KeyedList } from "../keyed_list";
import { createAdvice } from "./advice";
import { STATE_LABELS, joinUnits, mostUrgentFirst } from "./formatting";
import type { Alert } from "./operations";

export class AlertList {
  readonly #items = new KeyedList<Alert>(byId("alert-list", HTMLOListElement), ({ name }) => name, createItem);

  show(alerts: readonly Alert[]): void {
    this.#items.show(mostUrgentFirst(alerts));
  }
}

function createItem({ name, title, runbook }: Alert): ItemView<Alert> {
  const element = create("li", "alert");
  const state = create("p", "alert__state");
  const text = create("p", "alert__text");
  Object.assign(element.dataset, { testid: "alert", name });
  element.append(create("h3", "alert__title", title), state, text, ...createAdvice(runbook, title));
  return {
    element,
    update(alert) {
      setAttribute(element, "data-state", alert.state);
      setText(state, STATE_LABELS[alert.state]);
      setText(text, joinUnits(alert.says));
    },
  };
}
