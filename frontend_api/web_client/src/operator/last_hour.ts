/** The outcomes of the tasks that finished within the last hour, with the failure codes. */

import { byId, create, setText } from "../dom";
import { type ItemView, KeyedList } from "../keyed_list";
import { createAdvice } from "./advice";
import { count, seconds, share } from "./formatting";
import type { LastHour } from "./operations";

type FailureCount = LastHour["failures"][number];

export class LastHourView {
  readonly #facts = byId("last-hour-facts", HTMLElement);
  readonly #failures = new KeyedList<FailureCount>(byId("failures", HTMLUListElement), ({ code }) => code, createItem);

  show(hour: LastHour): void {
    const gpuSeconds = hour.gpu_seconds + hour.wasted_gpu_seconds;
    const failed = `${count(hour.failed)} failed (${share(hour.failed, hour.completed + hour.failed)})`;
    const wasted = `${share(hour.wasted_gpu_seconds, gpuSeconds)} wasted`;
    setText(
      this.#facts,
      `Tasks: ${count(hour.completed)} completed, ${failed}, ${count(hour.cancelled)} cancelled. ` +
        `GPU time: ${seconds(gpuSeconds)}, ${wasted}.`,
    );
    this.#failures.show(hour.failures);
  }
}

function createItem({ code }: FailureCount): ItemView<FailureCount> {
  const element = create("li", "failure");
  const tasks = create("span", "failure__tasks");
  element.dataset.testid = "failure";
  element.append(tasks, create("code", "", code), ...createAdvice(`\`${code}\``, code));
  return { element, update: (failure) => { setText(tasks, count(failure.tasks)); } };
}
