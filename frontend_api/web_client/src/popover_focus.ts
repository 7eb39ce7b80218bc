/** Close an open menu when the focus moves to something else than its button, so that it does not stay over the page. */
export function closeWhenLeft(menu: HTMLElement, button: () => Element | null): void {
  document.addEventListener("focusin", ({ target }) => {
    const isLeft = target instanceof Node && target !== button() && !menu.contains(target);
    if (isLeft && menu.matches(":popover-open")) menu.hidePopover();
  });
}
