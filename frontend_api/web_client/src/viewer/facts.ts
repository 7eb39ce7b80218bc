/** The parameters of an image, as the viewer shows them. Pure. */

import type { Seed, TaskDocument } from "@darkroom/web";

import { samplerTitle } from "../formatting";

/** The seed of an image; null if it is too large for JavaScript's numbers. */
export function seedOf(task: TaskDocument, index: number): Seed | null {
  return task.images.find((image) => image.index === index)?.seed ?? task.seed;
}

export function factsOf(task: TaskDocument, index: number): [string, string][] {
  const facts: [string, string][] = [
    ["Model", task.model],
    ["Size", `${task.width} × ${task.height}`],
    ["Steps", String(task.steps)],
    ["Sampler", samplerTitle(task.sampler)],
    ["Seed", seedOf(task, index) ?? "larger than 2^53"],
  ];
  if (task.guidanceScale !== null) facts.push(["Guidance", String(task.guidanceScale)]);
  if (task.negativePrompt) facts.push(["Negative prompt", task.negativePrompt]);
  return facts;
}
