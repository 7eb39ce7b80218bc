/** The dialog that shows one image large, with its parameters. */

import { byId, create, find, setText } from "./dom";
import { samplerTitle } from "./formatting";
import type { TaskDocument } from "./task_document";

export interface ViewerActions {
  download(task: TaskDocument, index: number): Promise<void>;
  reuseSettings(task: TaskDocument, index: number): Promise<void>;
  imageSource(task: TaskDocument, index: number): Promise<string>;
}

export class Viewer {
  readonly #dialog = byId("viewer", HTMLDialogElement);
  readonly #image = find(this.#dialog, ".viewer__image", HTMLImageElement);
  readonly #facts = find(this.#dialog, ".viewer__facts", HTMLElement);
  #shown: { task: TaskDocument; index: number } | null = null;

  constructor(private readonly actions: ViewerActions) {
    this.#dialog.addEventListener("click", (event) => {
      const target = event.target as Element;
      const name = target.closest<HTMLElement>("[data-action]")?.dataset.action;
      if (target === this.#dialog || name === "close") this.#dialog.close();
      if (this.#shown === null) return;
      const { task, index } = this.#shown;
      if (name === "download") void this.actions.download(task, index);
      if (name === "settings") {
        this.#dialog.close();
        void this.actions.reuseSettings(task, index);
      }
    });
  }

  open(task: TaskDocument, index: number, source: string): void {
    this.#shown = { task, index };
    this.#image.src = source;
    // A signed URL may have expired since the card loaded it: request a new one, once.
    this.#image.onerror = () => {
      this.#image.onerror = null;
      void this.actions.imageSource(task, index).then((fresh) => { this.#image.src = fresh; });
    };
    this.#image.alt = task.prompt;
    this.#image.width = task.width;
    this.#image.height = task.height;
    this.#image.style.setProperty("--ratio", String(task.width / task.height));
    setText(byId("viewer-prompt", HTMLElement), task.prompt);
    this.#facts.replaceChildren(...factsOf(task, index).flatMap(([name, value]) => [create("dt", "", name), create("dd", "", value)]));
    this.#dialog.showModal();
  }
}

function factsOf(task: TaskDocument, index: number): [string, string][] {
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
