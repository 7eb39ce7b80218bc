/** The queue's figures, two of them with a chart of the last minutes. */

import { byId, create, setText } from "../dom";
import { count, rate, shortDuration } from "./formatting";
import type { Queue } from "./operations";
import { Sparkline } from "./sparkline";

interface Figure {
  readonly name: string;
  readonly title: string;
  readonly text: (queue: Queue) => string;
  readonly chartValue?: (queue: Queue) => number;
}

const FIGURES: readonly Figure[] = [
  { name: "queued", title: "Queued", text: ({ queued }) => count(queued), chartValue: ({ queued }) => queued },
  {
    name: "completed-per-minute",
    title: "Completed per minute",
    text: ({ completed_per_minute }) => rate(completed_per_minute),
    chartValue: ({ completed_per_minute }) => completed_per_minute,
  },
  { name: "oldest", title: "Oldest queued", text: ({ oldest_seconds }) => shortDuration(oldest_seconds) },
  { name: "processing", title: "Processing", text: ({ processing }) => count(processing) },
  { name: "backlog", title: "GPU backlog", text: ({ backlog_gpu_seconds }) => shortDuration(backlog_gpu_seconds) },
  { name: "workers", title: "Workers", text: ({ workers }) => count(workers) },
  { name: "dead-letters", title: "Dead letters", text: ({ dead_letters }) => count(dead_letters) },
];

export class Figures {
  readonly #updates: readonly ((queue: Queue, now: number) => void)[];

  constructor() {
    const list = byId("figures", HTMLDListElement);
    this.#updates = FIGURES.map((figure) => createFigure(list, figure));
  }

  show(queue: Queue, now: number): void {
    for (const update of this.#updates) update(queue, now);
  }
}

function createFigure(list: HTMLElement, { name, title, text, chartValue }: Figure): (queue: Queue, now: number) => void {
  const box = create("div", "figure");
  const value = create("dd", "", "–");
  value.dataset.testid = `figure-${name}`;
  box.append(create("dt", "", title), value);
  list.append(box);
  if (chartValue === undefined) return (queue) => { setText(value, text(queue)); };
  const sparkline = new Sparkline(title, rate);
  const chart = create("dd", "figure__chart");
  chart.append(sparkline.element);
  box.append(chart);
  box.classList.add("figure--chart");
  return (queue, now) => {
    setText(value, text(queue));
    sparkline.add({ at: now, value: chartValue(queue) });
  };
}
