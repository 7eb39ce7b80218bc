/** The size of the images in the list. */

import { byId } from "./dom";
import { storeChoice, storedChoice } from "./stored_choice";

const USUAL_SIZE = 280;
/** Below this size the cards show their text and their buttons only on hover and focus. */
const COMPACT_BELOW = 220;

/** `onChange` is called when the list has another size. */
export function connectDensity(list: HTMLElement, onChange: () => void): void {
  const control = byId("image-size", HTMLInputElement);
  const apply = () => {
    list.style.setProperty("--size", `${control.value}px`);
    list.toggleAttribute("data-compact", Number(control.value) < COMPACT_BELOW);
  };
  control.value = storedChoice("image-size") ?? String(USUAL_SIZE);
  control.addEventListener("input", () => {
    storeChoice("image-size", control.value);
    apply();
    onChange();
  });
  apply();
}
