/** The pictures of a comparison: what can be compared with a picture, and the captions. Pure. */

import type { TaskDocument } from "@darkroom/web";

import { seedOf } from "../viewer/facts";

/** A finished image of a task. */
export interface Picture {
  readonly task: TaskDocument;
  readonly index: number;
}

/** The uploaded picture with this id, from which a task started. */
export interface InputPicture {
  readonly input: string;
}

export type Compared = Picture | InputPicture;

export interface Choice {
  readonly label: string;
  readonly picture: Compared;
}

/** What a picture can be compared with, the most useful first; `pictures` are those of the list, in its order. */
export function choicesFor({ task, index }: Picture, pictures: readonly Picture[]): readonly Choice[] {
  const position = pictures.findIndex((other) => other.task.id === task.id && other.index === index);
  const [previous, next] = position === -1 ? [] : [pictures[position - 1], pictures[position + 1]];
  return [
    ...(task.image === null ? [] : [{ label: "Input picture", picture: { input: task.image } }]),
    ...(next === undefined ? [] : [{ label: "Next image", picture: next }]),
    ...(previous === undefined ? [] : [{ label: "Previous image", picture: previous }]),
  ];
}

/** The two images of these tasks; null if they do not have exactly two. */
export function pairOf(tasks: readonly TaskDocument[]): readonly [Picture, Picture] | null {
  const [left, right, ...others] = tasks.flatMap((task) => task.images.map(({ index }) => ({ task, index })));
  return left === undefined || right === undefined || others.length > 0 ? null : [left, right];
}

/** The prompt of a picture, and one line about it. `size` is that of the file. */
export function captionOf(compared: Compared, size: { width: number; height: number }): { title: string; facts: string } {
  const pixels = `${size.width} × ${size.height}`;
  if ("input" in compared) return { title: "Input picture", facts: pixels };
  const { task, index } = compared;
  const seed = seedOf(task, index);
  return { title: task.prompt, facts: [task.model, ...(seed === null ? [] : [`seed ${seed}`]), pixels].join(" · ") };
}
