/** Messages at fields of the form: what must be changed before it can be sent, and what the model will not obey. */

import type { FieldName, Model } from "./catalog";
import { found, say } from "./dom";

/** Returns the id of the element that holds the message. */
export function showAtField(form: HTMLFormElement, name: FieldName, kind: "error" | "warning", message: string): string {
  const id = `${name}-${kind}`;
  let element = document.getElementById(id);
  if (element === null && message === "") return id;
  if (element === null) {
    element = document.createElement("p");
    element.id = id;
    element.className = `field__${kind}`;
    if (kind === "warning") element.setAttribute("role", "status");
    found(form, `[data-field="${name}"]`, HTMLElement).append(element);
  }
  say(element, message);
  return id;
}

/** What the form says of a model below the prompt. */
export function modelHint({ description, max_prompt_tokens: limit }: Model): string {
  const tokens = limit ? `It reads up to ${limit} tokens of a prompt, about a word each.` : "";
  return [description, tokens].filter((part) => part !== "").join(" ");
}
