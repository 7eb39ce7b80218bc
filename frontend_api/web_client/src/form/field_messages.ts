/** Messages below the fields of the form. */

import type { FieldName, Model } from "../catalog";
import { create, find, setText } from "../dom";

/** Show a message at a field; empty text hides it. Return the id of the message's element. */
export function showAtField(form: HTMLFormElement, name: FieldName, kind: "error" | "warning", message: string): string {
  const id = `${name}-${kind}`;
  let element = document.getElementById(id);
  if (element === null && message === "") return id;
  if (element === null) {
    element = create("p", `field__${kind}`);
    element.id = id;
    if (kind === "warning") element.role = "status";
    find(form, `[data-field="${name}"]`, HTMLElement).append(element);
  }
  setText(element, message);
  return id;
}

/** The text about the chosen model below the prompt. */
export function modelHint({ description, max_prompt_tokens: limit, served }: Model): string {
  const tokens = limit ? `This model reads up to ${limit} tokens of the prompt (a token is about one word).` : "";
  const unserved = served === false ? "No worker serves this model now: new tasks wait in the queue." : "";
  return [description, tokens, unserved].filter((part) => part !== "").join(" ");
}

/** The text of the model in the menu. */
export function modelLabel({ name, title, served }: Model): string {
  return `${title || name}${served === false ? " (no worker)" : ""}`;
}
