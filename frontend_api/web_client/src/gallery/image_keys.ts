/** Arrow keys lead from an image of the list to those beside, above and below it. */

/** `.tile` is an image. Behind a space are cards that are not in the document. */
const STOPS = ".tile:enabled, .task-list__space";

export function connectImageKeys(list: HTMLElement): void {
  list.addEventListener("keydown", (event) => {
    const tile = event.target as HTMLElement;
    if (!tile.matches(".tile") || event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    const step = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (step === undefined) return;
    event.preventDefault();
    const stops = [...list.querySelectorAll<HTMLElement>(STOPS)];
    const ahead = step === 1 ? stops.slice(stops.indexOf(tile) + 1) : stops.slice(0, stops.indexOf(tile)).reverse();
    const end = ahead.findIndex((stop) => !stop.matches(".tile"));
    const tiles = end === -1 ? ahead : ahead.slice(0, end);
    const next = event.key === "ArrowRight" || event.key === "ArrowLeft" ? tiles[0] : nearestInNextRow(tile, tiles);
    next?.focus();
  });
}

/** The image of the next row whose center is nearest sideways. `tiles` begin with those of the same row. */
function nearestInNextRow(tile: HTMLElement, tiles: readonly HTMLElement[]): HTMLElement | undefined {
  const own = centerOf(tile);
  const isBeside = (other: HTMLElement) => Math.abs(centerOf(other).y - own.y) < other.clientHeight / 2;
  const first = tiles.find((other) => !isBeside(other));
  if (first === undefined) return undefined;
  const { y } = centerOf(first);
  const row = tiles.filter((other) => Math.abs(centerOf(other).y - y) < first.clientHeight / 2);
  const distance = (other: HTMLElement) => Math.abs(centerOf(other).x - own.x);
  return row.reduce((nearest, other) => (distance(other) < distance(nearest) ? other : nearest));
}

function centerOf(element: HTMLElement): { readonly x: number; readonly y: number } {
  const { left, top, width, height } = element.getBoundingClientRect();
  return { x: left + width / 2, y: top + height / 2 };
}
