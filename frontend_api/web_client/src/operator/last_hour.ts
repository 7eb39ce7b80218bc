/** What became of the tasks that ended within the last hour, and why some of them failed. */

import { byId, say } from "../dom";
import type { LastHour } from "./operations";
import { whatToDo } from "./what_to_do";
import { count, seconds, share } from "./wording";

export class LastHourView {
  readonly #facts = byId("last-hour-facts", HTMLElement);
  readonly #failures = byId("failures", HTMLUListElement);
  readonly #items = new Map<string, { readonly element: HTMLLIElement; readonly tasks: HTMLElement }>();

  show(hour: LastHour): void {
    const spent = hour.gpu_seconds + hour.wasted_gpu_seconds;
    const ended = hour.completed + hour.failed;
    say(
      this.#facts,
      `${count(hour.completed)} completed, ${count(hour.failed)} failed (${share(hour.failed, ended)}), ` +
        `${count(hour.cancelled)} cancelled. ${seconds(spent)} of a GPU, ${share(hour.wasted_gpu_seconds, spent)} ` +
        "of it in attempts that were lost.",
    );
    const wanted = new Set(hour.failures.map(({ code }) => code));
    for (const [code, { element }] of this.#items) {
      if (wanted.has(code)) continue;
      element.remove();
      this.#items.delete(code);
    }
    hour.failures.forEach(({ code, tasks }, place) => {
      const item = this.#itemOf(code);
      say(item.tasks, count(tasks));
      const there = this.#failures.children[place];
      if (there !== item.element) this.#failures.insertBefore(item.element, there ?? null);
    });
  }

  #itemOf(code: string): { readonly element: HTMLLIElement; readonly tasks: HTMLElement } {
    const known = this.#items.get(code);
    if (known !== undefined) return known;
    const element = document.createElement("li");
    element.className = "failure";
    element.dataset.testid = "failure";
    const tasks = document.createElement("span");
    tasks.className = "failure__tasks";
    const name = document.createElement("code");
    name.textContent = code;
    element.append(tasks, name);
    const advice = whatToDo(`\`${code}\``, code);
    if (advice !== null) element.append(advice);
    const item = { element, tasks };
    this.#items.set(code, item);
    return item;
  }
}
