/** The queue's present figures. */

import { byId, create, setText } from "../dom";
import { count, rate, shortDuration } from "./formatting";
import type { Queue } from "./operations";

interface Figure {
  readonly name: string;
  readonly title: string;
  readonly text: (queue: Queue) => string;
}

const FIGURES: readonly Figure[] = [
  { name: "queued", title: "Queued", text: ({ queued }) => count(queued) },
  {
    name: "completed-per-minute",
    title: "Completed per minute",
    text: ({ completed_per_minute }) => rate(completed_per_minute),
  },
  { name: "oldest", title: "Oldest queued", text: ({ oldest_seconds }) => shortDuration(oldest_seconds) },
  { name: "processing", title: "Processing", text: ({ processing }) => count(processing) },
  { name: "backlog", title: "GPU backlog", text: ({ backlog_gpu_seconds }) => shortDuration(backlog_gpu_seconds) },
  { name: "workers", title: "Workers", text: ({ workers }) => count(workers) },
  { name: "dead-letters", title: "Dead letters", text: ({ dead_letters }) => count(dead_letters) },
];

export class Figures {
  readonly #values: readonly HTMLElement[];

  constructor() {
    const list = byId("figures", HTMLDListElement);
    this.#values = FIGURES.map(({ name, title }) => {
      const box = create("div", "figure");
      const value = create("dd", "", "–");
      value.dataset.testid = `figure-${name}`;
      box.append(create("dt", "", title), value);
      list.append(box);
      return value;
    });
  }

  show(queue: Queue): void {
    FIGURES.forEach(({ text }, index) => {
      const value = this.#values[index];
      if (value !== undefined) setText(value, text(queue));
    });
  }
}
