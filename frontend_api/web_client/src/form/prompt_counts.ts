/** The length of the prompt in characters and tokens. */

import type { Model } from "@darkroom/web";

import { byId, setText } from "../dom";

/** A weighted prompt is read in so many parts of the model's limit. */
const WEIGHTED_PARTS = 8;

/** Pure. About the number of tokens: words, digits and signs. The service counts exactly and warns. */
export function approximateTokens(prompt: string): number {
  return prompt.match(/\p{L}[\p{L}\p{M}]*|\p{N}|[^\s\p{L}\p{N}]/gu)?.length ?? 0;
}

/** Pure. "12 characters · about 3 of 30 tokens". */
export function promptCountText(prompt: string, maxTokens: number | null): string {
  const characters = Array.from(prompt.trim()).length;
  if (characters === 0) return "";
  const tokens = approximateTokens(prompt);
  const count = `${characters} ${characters === 1 ? "character" : "characters"}`;
  return `${count} · about ${tokens}${maxTokens === null ? "" : ` of ${maxTokens}`} ${tokens === 1 && maxTokens === null ? "token" : "tokens"}`;
}

export function showPromptCount(prompt: string, syntax: string, { max_prompt_tokens: limit }: Model): void {
  const maxTokens = limit ? limit * (syntax === "weighted" ? WEIGHTED_PARTS : 1) : null;
  const element = byId("prompt-count", HTMLElement);
  setText(element, promptCountText(prompt, maxTokens));
  element.classList.toggle("is-over", maxTokens !== null && approximateTokens(prompt) > maxTokens);
}
