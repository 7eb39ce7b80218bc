/** The sizes that the form offers for a model. Pure. */

import type { Model } from "@darkroom/web";

import { fitted } from "./form_values";

export interface Size {
  /** The aspect ratio, such as "16:9". */
  readonly name: string;
  readonly width: number;
  readonly height: number;
}

const RATIOS = [[1, 1], [4, 3], [3, 2], [16, 9], [3, 4], [2, 3], [9, 16]] as const;
/** How far a size may be from the aspect ratio that names it, as a factor. */
const TOLERANCE = 1.15;
/** Models of half a megapixel and more are trained at sides that are multiples of this many pixels. */
const TRAINED_MULTIPLE = 64;
const TRAINED_AREA = 512 * 512;

/** Sizes of common aspect ratios within the model's limits, with about its default area. */
export function sizesOf({ limits, defaults: { width, height } }: Model): Size[] {
  const area = width * height;
  const isCoarse = area >= TRAINED_AREA && TRAINED_MULTIPLE % limits.side_multiple === 0;
  const multiple = isCoarse ? TRAINED_MULTIPLE : limits.side_multiple;
  const fit = (side: number) => fitted(side, { low: limits.min_side, high: limits.max_side, multiple });
  const sizes = RATIOS.map(([across, down]) => {
    const ratio = across / down;
    const size = { width: fit(Math.sqrt(area * ratio)), height: fit(Math.sqrt(area / ratio)) };
    // The model's own size is the best one of its aspect ratio.
    const own = [{ width, height }, { width: height, height: width }].find((one) => deviation(one, ratio) < 1.05);
    const { width: best, height: other } = own ?? size;
    return { name: `${across}:${down}`, width: best, height: other, deviation: deviation(own ?? size, ratio) };
  });
  return sizes
    .filter((size) => size.deviation <= TOLERANCE && sizes.every((other) => !isSame(size, other) || size.deviation <= other.deviation))
    .map(({ name, width: across, height: down }) => ({ name, width: across, height: down }));
}

function deviation(size: { readonly width: number; readonly height: number }, ratio: number): number {
  const quotient = size.width / size.height / ratio;
  return Math.max(quotient, 1 / quotient);
}

function isSame(one: { readonly width: number; readonly height: number }, other: typeof one): boolean {
  return one.width === other.width && one.height === other.height;
}
