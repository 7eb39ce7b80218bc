/** Choices about the page's appearance, kept in this browser. Without storage they hold until the page is closed. */

import { attempt } from "./storage";

export function storedChoice(name: string): string | null {
  return attempt(() => localStorage.getItem(`darkroom.${name}`));
}

export function storeChoice(name: string, value: string): void {
  attempt(() => { localStorage.setItem(`darkroom.${name}`, value); });
}
