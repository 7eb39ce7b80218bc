/** A bar chart with its title, its description and, for stacked series, a legend. */

import { create, setAttribute, setText } from "../../dom";
import { joinUnits, timeOfDay } from "../formatting";
import type { History } from "../operations";
import { CHART_HEIGHT, type Chart, barsOf, describeChart } from "./charts";

const SVG = "http://www.w3.org/2000/svg";

export class ChartView {
  readonly element = create("figure", "chart");
  readonly #text = create("span", "chart__text");
  readonly #svg = document.createElementNS(SVG, "svg");
  readonly #unknown = createPath("unknown");
  readonly #paths: readonly SVGPathElement[];
  readonly #since = create("span");
  readonly #until = create("span");

  constructor(private readonly chart: Chart) {
    this.element.dataset.testid = `chart-${chart.name}`;
    const caption = create("figcaption", "chart__caption");
    caption.append(create("span", "chart__title", chart.title), this.#text);
    this.#paths = chart.series.map(({ kind }) => createPath(kind));
    this.#svg.setAttribute("class", "chart__bars");
    // The caption and the table contain the same figures as text.
    this.#svg.setAttribute("aria-hidden", "true");
    this.#svg.setAttribute("preserveAspectRatio", "none");
    this.#svg.append(this.#unknown, ...this.#paths);
    const axis = create("div", "chart__axis");
    axis.append(this.#since, this.#until);
    this.element.append(caption, this.#svg, axis);
    if (chart.series.length > 1) axis.after(createLegend(chart));
  }

  show(history: History): void {
    const bars = barsOf(this.chart, history);
    setAttribute(this.#svg, "viewBox", `0 0 ${bars.width} ${CHART_HEIGHT}`);
    setAttribute(this.#unknown, "d", bars.unknown);
    this.#paths.forEach((path, index) => { setAttribute(path, "d", bars.paths[index] ?? ""); });
    setText(this.#text, joinUnits(describeChart(this.chart, history)));
    setText(this.#since, timeOfDay(history.since));
    setText(this.#until, timeOfDay(history.until));
  }
}

function createPath(kind: string): SVGPathElement {
  const path = document.createElementNS(SVG, "path");
  path.dataset.kind = kind;
  return path;
}

function createLegend({ series }: Chart): HTMLElement {
  const legend = create("ul", "chart__legend");
  for (const { name, kind } of series) {
    const item = create("li", "", name);
    item.dataset.kind = kind;
    legend.append(item);
  }
  return legend;
}
