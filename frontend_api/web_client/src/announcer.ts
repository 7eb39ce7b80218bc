import { byId } from "./dom";

/** Announce a text to assistive technology without moving the focus. It replaces the previous text. */
export function announce(text: string): void {
  byId("announcer", HTMLElement).textContent = text;
}
