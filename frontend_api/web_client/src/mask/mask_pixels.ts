/** The pixels of masks, as RGBA. Pure. */

/** Gray values from here on count as white, as in the API. */
const WHITE = 128;

/**
 * Replace the pixels of a mask by opaque ones where it selects, and by transparent ones elsewhere.
 *
 * As in the API, a mask selects with its white parts, or with its transparent parts if it has any.
 */
export function selectPixels(pixels: Uint8ClampedArray, color: readonly [number, number, number]): void {
  const hasTransparency = pixels.some((value, index) => index % 4 === 3 && value < 255);
  const at = (index: number) => pixels[index] ?? 0;
  for (let index = 0; index < pixels.length; index += 4) {
    const gray = Math.round(0.299 * at(index) + 0.587 * at(index + 1) + 0.114 * at(index + 2));
    const isSelected = (hasTransparency ? 255 - at(index + 3) : gray) >= WHITE;
    pixels.set(color, index);
    pixels[index + 3] = isSelected ? 255 : 0;
  }
}

/** The share of the pixels that are selected, from 0 to 1. */
export function selectedShare(pixels: Uint8ClampedArray): number {
  let selected = 0;
  for (let index = 3; index < pixels.length; index += 4) if ((pixels[index] ?? 0) >= WHITE) selected += 1;
  return selected / (pixels.length / 4);
}

/** "Nothing is painted.", "12 % of the picture is painted." */
export function shareText(share: number): string {
  if (share === 0) return "Nothing is painted.";
  if (share === 1) return "The whole picture is painted.";
  const percent = Math.round(share * 100);
  return `${percent === 0 ? "Less than 1" : Math.min(99, percent)} % of the picture is painted.`;
}
