/** The names of images in a zip file: safe on every system, and each once. Pure. */

import type { TaskDocument } from "@darkroom/web";

import { fileName } from "../formatting";

export interface NamedImage {
  readonly task: TaskDocument;
  readonly index: number;
  readonly name: string;
}

/** File systems permit 255 bytes. */
const MAX_NAME_BYTES = 200;

/** Name all images of these tasks, in order. Windows and macOS do not distinguish upper and lower case. */
export function namedImages(tasks: readonly TaskDocument[]): readonly NamedImage[] {
  const taken = new Set<string>();
  return tasks.flatMap((task) =>
    task.images.map(({ index, seed, contentType }) => {
      const name = uniqueName(fileName(task.prompt, seed ?? task.seed, index, contentType), taken);
      taken.add(name.toLowerCase());
      return { task, index, name };
    }),
  );
}

function uniqueName(name: string, taken: ReadonlySet<string>): string {
  const dot = name.lastIndexOf(".");
  const [stem, extension] = [shortenedTo(name.slice(0, dot), MAX_NAME_BYTES), name.slice(dot)];
  for (let number = 1; ; number += 1) {
    const candidate = `${stem}${number === 1 ? "" : `-${number}`}${extension}`;
    if (!taken.has(candidate.toLowerCase())) return candidate;
  }
}

function shortenedTo(text: string, bytes: number): string {
  let [length, kept] = [0, ""];
  for (const character of text) {
    length += new TextEncoder().encode(character).length;
    if (length > bytes) break;
    kept += character;
  }
  return kept;
}
