/** The address of a picture: `t/{task}/{number}`, which the server redirects to the page with the fragment `#/t/…`. Pure. */

export interface PictureLink {
  readonly taskId: string;
  /** From 0; the address counts from 1. */
  readonly index: number;
}

export function pictureFragment({ taskId, index }: PictureLink): string {
  return `#/t/${encodeURIComponent(taskId)}/${index + 1}`;
}

/** The picture of a fragment; null for any other fragment. Without a number it is the first picture. */
export function parsePictureFragment(fragment: string): PictureLink | null {
  const match = /^#\/t\/([^/]+)(?:\/([1-9]\d{0,3}))?$/.exec(fragment);
  if (match?.[1] === undefined) return null;
  try {
    return { taskId: decodeURIComponent(match[1]), index: Number(match[2] ?? 1) - 1 };
  } catch {
    return null;
  }
}

/** The address to share, for a page at this address. */
export function pictureUrl(page: string, { taskId, index }: PictureLink): string {
  return new URL(`t/${encodeURIComponent(taskId)}/${index + 1}`, page).href;
}

/** Whether two addresses lead to the same file: signed links of a file differ only in their query. */
export function isSameFile(one: string, other: string): boolean {
  const [first, second] = [new URL(one, location.href), new URL(other, location.href)];
  return first.origin === second.origin && first.pathname === second.pathname && first.protocol !== "blob:";
}
