/** Messages below the fields of the form. */

import type { Model } from "@darkroom/web";

import { create, setAttribute, setText } from "../dom";

/** An error, an adapted value after a change of the model, or the API's warning. */
export type MessageKind = "error" | "note" | "warning";

/** The first control of a field that can have the focus; the field itself if it has none now. */
export function controlOf(field: HTMLElement): HTMLElement {
  return field.querySelector<HTMLElement>(":is(input, textarea, select):not([type=hidden], [type=range])") ?? field;
}

/** Show a message at a field; empty text hides it. */
export function showAtField(field: HTMLElement, kind: MessageKind, message: string): void {
  const control = controlOf(field);
  const id = `${field.dataset.field ?? ""}-${kind}`;
  let element = document.getElementById(id);
  if (element === null && message === "") return;
  if (element === null) {
    element = create("p", `field__${kind}`);
    element.id = id;
    if (kind === "warning") element.role = "status";
    besideControl(field, control, element);
  }
  setText(element, message);
  if (kind === "error") setAttribute(control, "aria-invalid", message ? "true" : null);
  const described = Array.from(field.querySelectorAll("p[id]")).filter(({ textContent }) => textContent !== "");
  setAttribute(control, "aria-describedby", described.map((text) => text.id).join(" ") || null);
}

/** Put a message directly after the control, or after its row: the hints below a field may be long. */
function besideControl(field: HTMLElement, control: HTMLElement, message: HTMLElement): void {
  const row = Array.from(field.children).find((child) => child.contains(control));
  if (row === undefined) field.append(message);
  else row.after(message);
}

/** The text about the chosen model below the prompt. */
export function modelHint({ description, max_prompt_tokens: limit, served }: Model): string {
  const tokens = limit ? `This model reads up to ${limit} tokens of the prompt (a token is about one word).` : "";
  const unserved = served === false ? "No worker serves this model now: new tasks wait in the queue." : "";
  return [description, tokens, unserved].filter((part) => part !== "").join(" ");
}

/** How the model is served, and which parameters have no effect on it. */
export function modelFacts({ shares_steps: sharesSteps, workers, traits }: Model): string {
  const served = workers ? `${workers} ${workers === 1 ? "worker serves" : "workers serve"} this model.` : "";
  const sharing = sharesSteps ? "Its tasks share denoising steps." : "It generates one image at a time.";
  const ignored = traits.guidance === "none" ? "Guidance and negative prompts have" : "A negative prompt has";
  return [served, sharing, traits.negative_prompt ? "" : `${ignored} no effect on it.`].filter((part) => part !== "").join(" ");
}

/** The text of the model in the menu. */
export function modelLabel({ name, title, served }: Model): string {
  return `${title || name}${served === false ? " (no worker)" : ""}`;
}
