import { byId, create } from "./dom";

let texts: string[] = [];

/**
 * Announce a text to assistive technology without moving the focus.
 *
 * Texts of one event are announced together, and replace the earlier ones.
 */
export function announce(text: string): void {
  texts.push(text);
  if (texts.length === 1) queueMicrotask(show);
}

function show(): void {
  // An open dialog makes the rest of the page inert, and with it the announcer there.
  const announcer = document.querySelector("dialog:modal [data-announcer]") ?? byId("announcer", HTMLElement);
  announcer.replaceChildren(...texts.map((text) => create("p", "", text)));
  texts = [];
}
