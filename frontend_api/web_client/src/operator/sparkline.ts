/** A small line chart of a figure's last minutes. */

import { setAttribute } from "../dom";
import { type Sample, describeSamples, linePath, withSample } from "./series";

const SVG = "http://www.w3.org/2000/svg";
const [WIDTH, HEIGHT] = [240, 36];

export class Sparkline {
  readonly element = document.createElementNS(SVG, "svg");
  readonly #line = document.createElementNS(SVG, "path");
  #samples: readonly Sample[] = [];

  constructor(private readonly name: string, private readonly format: (value: number) => string) {
    this.element.setAttribute("class", "sparkline");
    this.element.setAttribute("role", "img");
    this.element.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.element.setAttribute("preserveAspectRatio", "none");
    this.#line.setAttribute("vector-effect", "non-scaling-stroke");
    this.element.append(this.#line);
  }

  add(sample: Sample): void {
    this.#samples = withSample(this.#samples, sample);
    setAttribute(this.#line, "d", linePath(this.#samples, WIDTH, HEIGHT));
    setAttribute(this.element, "aria-label", `${this.name}: ${describeSamples(this.#samples, this.format)}`);
  }
}
