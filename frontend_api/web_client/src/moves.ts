/** Animates elements from where they were to where a change of the list has put them. */

const DURATION_MILLISECONDS = 350;

/** Make a change. Children that it moves start at their earlier position, so that nothing jumps. */
export function animateMoves(parent: HTMLElement, change: () => void): void {
  const isCalm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const children = isCalm ? [] : [...parent.querySelectorAll("[data-task-id]")].filter(isInViewport);
  const before = new Map(children.map((child) => [child, child.getBoundingClientRect()]));
  change();
  for (const [child, was] of before) {
    const is = child.getBoundingClientRect();
    const [x, y] = [was.left - is.left, was.top - is.top];
    if (child.isConnected && (x !== 0 || y !== 0)) {
      const frames = [{ transform: `translate(${x}px, ${y}px)` }, { transform: "none" }];
      child.animate(frames, { duration: DURATION_MILLISECONDS, easing: "ease-out" });
    }
  }
}

function isInViewport(element: Element): boolean {
  const { top, bottom } = element.getBoundingClientRect();
  return bottom > 0 && top < innerHeight;
}
