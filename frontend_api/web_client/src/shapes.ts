/** The choice of shape: a shortcut that fills width and height, drawn as small outlines. */

import { byId } from "./dom";
import type { Shape } from "./form_values";

export function showShapes(shapes: readonly Shape[], chosen: (shape: Shape) => void): void {
  const choices = shapes.map((shape) => {
    const label = document.createElement("label");
    const radio = document.createElement("input");
    radio.type = "radio";
    radio.name = "shape";
    radio.dataset.shape = `${shape.width}x${shape.height}`;
    radio.addEventListener("change", () => { chosen(shape); });
    const outline = document.createElement("span");
    outline.className = "shapes__outline";
    outline.style.setProperty("--ratio", String(shape.width / shape.height));
    label.append(radio, outline, shape.name);
    return label;
  });
  byId("shapes", HTMLElement).replaceChildren(...choices);
}

/** Show which shape the fields amount to, if any. */
export function markShape(width: string, height: string): void {
  for (const radio of document.querySelectorAll<HTMLInputElement>("#shapes input"))
    radio.checked = radio.dataset.shape === `${width}x${height}`;
}
