/** Downloads images as one zip file. This module is loaded when it is needed. */

import { Zip, ZipPassThrough } from "fflate";

import { errorText } from "../problems";
import type { NamedImage } from "./file_names";

export interface ZipFile {
  readonly file: Blob;
  readonly added: number;
  /** The names of the images that could not be fetched, each with the reason. */
  readonly missing: readonly { readonly name: string; readonly reason: string }[];
}

/** The limit of the format without extensions, minus space for the directory. */
const MAX_BYTES = 4_000_000_000;
const AT_ONCE = 3;

export class ZipTooLargeError extends Error {
  override readonly name = "ZipTooLargeError";
}

/**
 * Fetch the images, a few at once, and add each as soon as it has arrived. Images are compressed already, so they are
 * only stored. The parts go into a Blob, which browsers keep on disk where it is large.
 */
export async function zipImages(
  images: readonly NamedImage[],
  fetchImage: (image: NamedImage) => Promise<Blob>,
  onProgress: (finished: number) => void,
  signal: AbortSignal,
): Promise<ZipFile> {
  const missing: { name: string; reason: string }[] = [];
  let [parts, bytes, finished]: [BlobPart[], number, number] = [[], 0, 0];
  const zip = new Zip((error, chunk) => {
    if (error !== null) throw error;
    parts.push(chunk);
    bytes += chunk.length;
  });
  const waiting = images.values();
  const work = async () => {
    for (const image of waiting) {
      signal.throwIfAborted();
      try {
        const data = new Uint8Array(await (await fetchImage(image)).arrayBuffer());
        if (bytes + data.length > MAX_BYTES) throw new ZipTooLargeError("The images are larger than 4 GB together. Select fewer images.");
        const entry = new ZipPassThrough(image.name);
        zip.add(entry);
        entry.push(data, true);
      } catch (error) {
        if (error instanceof ZipTooLargeError) throw error;
        missing.push({ name: image.name, reason: errorText(error, "The image could not be read.") });
      }
      finished += 1;
      onProgress(finished);
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  signal.throwIfAborted();
  zip.end();
  const file = new Blob(parts, { type: "application/zip" });
  parts = [];
  return { file, added: images.length - missing.length, missing };
}

/** Say which images are missing, and why. */
export function zipText({ added, missing }: Pick<ZipFile, "added" | "missing">): string {
  const saved = `${added} ${added === 1 ? "image" : "images"} saved.`;
  const [first] = missing;
  if (first === undefined) return saved;
  const names = missing.slice(0, 5).map(({ name }) => name).join(", ");
  const others = missing.length > 5 ? ` and ${missing.length - 5} more` : "";
  return `${saved} ${missing.length} could not be fetched: ${names}${others}. ${first.reason}`;
}
