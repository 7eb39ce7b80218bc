/** The number of images as buttons. Models that permit many have a field for other numbers. */

import { byId, create } from "../dom";

const MOST_BUTTONS = 8;

/** Pure. The numbers that have a button. */
export function countsUpTo(maximum: number): number[] {
  const all = Array.from({ length: Math.min(maximum, MOST_BUTTONS) }, (_, index) => index + 1);
  return maximum <= MOST_BUTTONS ? all : all.filter((count) => [1, 2, 3, 4, 6, 8].includes(count));
}

export function showImageCounts(maximum: number, onChoose: (count: string) => void): void {
  const choices = countsUpTo(maximum).map((count) => {
    const radio = Object.assign(create("input"), { type: "radio", name: "image-count", value: String(count), ariaLabel: `${count} ${count === 1 ? "image" : "images"}` });
    radio.addEventListener("change", () => { onChoose(radio.value); });
    const label = create("label", "choice");
    label.append(radio, create("span", "", String(count)));
    return label;
  });
  byId("image-counts", HTMLElement).replaceChildren(...choices);
  byId("num_images", HTMLInputElement).hidden = maximum <= MOST_BUTTONS;
}

/** Check the button of this number, if it has one. */
export function checkImageCount(value: string): void {
  for (const radio of document.querySelectorAll<HTMLInputElement>("#image-counts input")) radio.checked = radio.value === value.trim();
}
