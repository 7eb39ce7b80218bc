/** The parameters of an image, as the viewer shows them. Pure. */

import { samplerTitle } from "../formatting";
import type { TaskDocument } from "../task_document";

export function factsOf(task: TaskDocument, index: number): [string, string][] {
  const facts: [string, string][] = [
    ["Model", task.model],
    ["Size", `${task.width} × ${task.height}`],
    ["Steps", String(task.steps)],
    ["Sampler", samplerTitle(task.sampler)],
    ["Seed", task.images.find((image) => image.index === index)?.seed ?? task.seed ?? "larger than 2^53"],
  ];
  if (task.guidanceScale !== null) facts.push(["Guidance", String(task.guidanceScale)]);
  if (task.negativePrompt) facts.push(["Negative prompt", task.negativePrompt]);
  return facts;
}
