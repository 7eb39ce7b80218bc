/**
 * Justified rows: the images of a row are equally high, and together as wide as the list. Pure.
 *
 * The cards have the widths that are computed here, so the rows of cards that are not in the document are known too.
 */

import type { TaskDocument } from "@darkroom/web";

import { columnsFor } from "../task_view";

/** The image area's width divided by its height. Flatter and narrower ones would leave no space for the text. */
const MIN_RATIO = 0.75;
const MAX_RATIO = 2;
/** The borders at the left and the right of a card. */
const BORDERS = 2;
/** A first row with too few images to fill the list. */
const MAX_GROWTH = 1.5;

export interface Measures {
  /** Of the list. */
  readonly width: number;
  /** The least height of the images. */
  readonly size: number;
  readonly columnGap: number;
  readonly rowGap: number;
}

export interface Row {
  /** The index of its first card, and the one after its last card. */
  readonly first: number;
  readonly end: number;
  readonly widths: readonly number[];
  /** 0 for a line of text. */
  readonly imageHeight: number;
}

/** The ratio of a card's image area; null for a task without images that has failed or was cancelled, which takes one line. */
export function ratioOf({ status, images, imageCount, width, height }: TaskDocument): number | null {
  if ((status === "failed" || status === "cancelled") && images.length === 0) return null;
  const columns = columnsFor(imageCount, width / height);
  const ratio = (columns * width) / (Math.ceil(imageCount / columns) * height);
  return Math.min(MAX_RATIO, Math.max(MIN_RATIO, ratio));
}

/** Break cards with these ratios into rows. */
export function rowsOf(ratios: readonly (number | null)[], measures: Measures): readonly Row[] {
  const rows: Row[] = [];
  let highest = MAX_GROWTH * measures.size;
  for (let first = 0; first < ratios.length; first = rows.at(-1)?.end ?? ratios.length) {
    const row = rowFrom(first, ratios, measures, highest);
    rows.push(row);
    // The last row, and a row before a line, may have too few images to fill the list: they are as high as the one before.
    if (row.imageHeight > 0) highest = row.imageHeight;
  }
  return rows;
}

function rowFrom(first: number, ratios: readonly (number | null)[], { width, size, columnGap }: Measures, highest: number): Row {
  if (ratios[first] === null) return { first, end: first + 1, widths: [width], imageHeight: 0 };
  // Between an image and the next one.
  const gap = columnGap + BORDERS;
  let [end, sum, isFull] = [first, 0, false];
  for (;;) {
    const ratio = ratios[end];
    // A row at the end of the list is full if the narrowest card does not fit into it.
    isFull = end > first && (sum + (ratio ?? MIN_RATIO)) * size + (end - first) * gap + BORDERS > width;
    if (isFull || typeof ratio !== "number") break;
    sum += ratio;
    end += 1;
  }
  const imageHeight = Math.min(isFull ? MAX_GROWTH * size : highest, (width - BORDERS - (end - first - 1) * gap) / sum);
  // Whole pixels that together fill the row.
  let [edge, rounded] = [0, 0];
  const widths = ratios.slice(first, end).map((ratio) => {
    edge += (ratio ?? 0) * imageHeight;
    const before = rounded;
    rounded = Math.round(edge);
    return rounded - before + BORDERS;
  });
  return { first, end, widths, imageHeight };
}
