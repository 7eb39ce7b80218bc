/** Which rows of a long list are in the document. Pure. */

/** Rows from `first` to the one before `end`. */
export interface Range {
  readonly first: number;
  readonly end: number;
}

/** The tops of rows with these heights, and the top of a row after them. */
export function topsOf(heights: readonly number[], gap: number): readonly number[] {
  let top = 0;
  return [0, ...heights.map((height) => (top += height + gap))];
}

/** The rows that are at least partly between two positions, or else the nearest one. */
export function rowsBetween(tops: readonly number[], top: number, bottom: number): Range {
  const first = rowAt(tops, top);
  return { first, end: Math.max(rowAt(tops, bottom), first) + 1 };
}

/** The last row that begins at or above a position, or else the first one. */
function rowAt(tops: readonly number[], position: number): number {
  let [low, high] = [0, tops.length - 2];
  while (low < high) {
    const middle = Math.ceil((low + high) / 2);
    if ((tops[middle] ?? 0) <= position) low = middle;
    else high = middle - 1;
  }
  return low;
}

/** The ranges in order, within `count` rows, with those joined that touch. */
export function joined(ranges: readonly Range[], count: number): readonly Range[] {
  const result: Range[] = [];
  const within = ranges.map(({ first, end }) => ({ first: Math.max(0, first), end: Math.min(count, end) }));
  for (const range of within.filter(({ first, end }) => first < end).sort((a, b) => a.first - b.first)) {
    const last = result.at(-1);
    if (last === undefined || last.end < range.first) result.push(range);
    else result[result.length - 1] = { first: last.first, end: Math.max(last.end, range.end) };
  }
  return result;
}
