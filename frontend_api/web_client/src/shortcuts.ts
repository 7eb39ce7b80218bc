/** The page's keyboard shortcuts, and the dialog that lists them. */

import { byId, setText } from "./dom";

/** Pure. Whether a key belongs to the focused control instead of the page. */
export function isTyping(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches("input:not([type=radio], [type=checkbox], [type=range]), textarea, select");
}

/** `actions`: by the key that calls them. */
export function connectShortcuts(actions: Readonly<Record<string, () => void>>): void {
  const dialog = byId("shortcuts", HTMLDialogElement);
  // On a Mac the Command key takes the place of Ctrl.
  if (/Mac|iPhone|iPad/.test(navigator.userAgent)) {
    setText(byId("submit-hint", HTMLElement), "⌘ ↵");
    for (const key of dialog.querySelectorAll("[data-mac]")) setText(key, key.getAttribute("data-mac") ?? "");
  }
  byId("show-shortcuts", HTMLButtonElement).addEventListener("click", () => { dialog.showModal(); });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || (event.target as Element).closest("[data-action=close]")) dialog.close();
  });
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    const isInDialog = document.querySelector("dialog[open]") !== null;
    if (event.key === "?" && !dialog.open) {
      event.preventDefault();
      dialog.showModal();
    } else if (Object.hasOwn(actions, event.key) && !isInDialog) {
      event.preventDefault();
      actions[event.key]?.();
    }
  });
}
