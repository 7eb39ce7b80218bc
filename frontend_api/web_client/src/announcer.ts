import { byId } from "./dom";

/** Say something to assistive technology without moving the focus. Only the latest matters. */
export function announce(text: string): void {
  byId("announcer", HTMLElement).textContent = text;
}
