/** The choice of aspect ratio, which sets width and height. */

import { byId, create } from "../dom";
import type { Size } from "./sizes";

export function showAspectRatios(sizes: readonly Size[], onChoose: (size: Size) => void): void {
  const choices = sizes.map((size) => {
    const radio = Object.assign(document.createElement("input"), { type: "radio", name: "aspect-ratio" });
    radio.dataset.size = `${size.width}x${size.height}`;
    radio.addEventListener("change", () => { onChoose(size); });
    const outline = create("span", "aspect-ratios__outline");
    outline.style.setProperty("--ratio", String(size.width / size.height));
    const label = create("label");
    label.append(radio, outline, size.name, create("span", "aspect-ratios__size", `${size.width} × ${size.height}`));
    return label;
  });
  byId("aspect-ratios", HTMLElement).replaceChildren(...choices);
}

/** Check the choice that matches the fields, if there is one. */
export function checkAspectRatio(width: string, height: string): void {
  for (const radio of document.querySelectorAll<HTMLInputElement>("#aspect-ratios input"))
    radio.checked = radio.dataset.size === `${width}x${height}`;
}
