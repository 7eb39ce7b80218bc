/** The queue in figures, two of them with their last minutes. */

import { byId, say } from "../dom";
import type { Queue } from "./operations";
import { Sparkline } from "./sparkline";
import { brief, count, rate } from "./wording";

interface Figure {
  readonly name: string;
  readonly title: string;
  written(queue: Queue): string;
  /** What is drawn of it. */
  readonly drawn?: (queue: Queue) => number;
}

const FIGURES: readonly Figure[] = [
  { name: "queued", title: "Waiting", written: ({ queued }) => count(queued), drawn: ({ queued }) => queued },
  {
    name: "completed-per-minute",
    title: "Completed per minute",
    written: ({ completed_per_minute }) => rate(completed_per_minute),
    drawn: ({ completed_per_minute }) => completed_per_minute,
  },
  { name: "oldest", title: "Longest wait", written: ({ oldest_seconds }) => brief(oldest_seconds ?? 0) },
  { name: "processing", title: "In flight", written: ({ processing }) => count(processing) },
  { name: "backlog", title: "GPU backlog", written: ({ backlog_gpu_seconds }) => brief(backlog_gpu_seconds) },
  { name: "workers", title: "Workers alive", written: ({ workers }) => count(workers) },
  { name: "dead-letters", title: "Dead letters", written: ({ dead_letters }) => count(dead_letters) },
];

export class Figures {
  readonly #shown: { readonly figure: Figure; readonly value: HTMLElement; readonly sparkline: Sparkline | null }[] = [];

  constructor() {
    const list = byId("figures", HTMLDListElement);
    for (const figure of FIGURES) {
      const box = document.createElement("div");
      const title = document.createElement("dt");
      const value = document.createElement("dd");
      box.className = "figure";
      title.textContent = figure.title;
      value.dataset.testid = `figure-${figure.name}`;
      value.textContent = "–";
      box.append(title, value);
      const sparkline = figure.drawn ? new Sparkline(figure.title, (drawn) => rate(drawn)) : null;
      if (sparkline !== null) {
        const drawing = document.createElement("dd");
        drawing.className = "figure__drawing";
        drawing.append(sparkline.element);
        box.append(drawing);
        box.classList.add("figure--drawn");
      }
      list.append(box);
      this.#shown.push({ figure, value, sparkline });
    }
  }

  show(queue: Queue, now: number): void {
    for (const { figure, value, sparkline } of this.#shown) {
      say(value, figure.written(queue));
      if (figure.drawn) sparkline?.add({ at: now, value: figure.drawn(queue) });
    }
  }
}
