/** The length of the prompt in characters and tokens. */

import type { Model } from "@darkroom/web";

import { byId, setText } from "../dom";

/** A weighted prompt is read in so many parts of the model's limit. */
const WEIGHTED_PARTS = 8;

/** Pure. About the number of tokens: words, digits and signs. The service counts exactly and warns. */
export function approximateTokens(prompt: string): number {
  return prompt.match(/\p{L}[\p{L}\p{M}]*|\p{N}|[^\s\p{L}\p{N}]/gu)?.length ?? 0;
}

/** Pure. The number of characters as the API counts them. */
export function characterCount(prompt: string): number {
  return Array.from(prompt.trim()).length;
}

/** Pure. "12 characters · about 3 of 30 tokens"; the limit of characters is named where the prompt exceeds it. */
export function promptCountText(prompt: string, maxTokens: number | null, maxCharacters: number): string {
  const characters = characterCount(prompt);
  if (characters === 0) return "";
  const tokens = approximateTokens(prompt);
  const limit = characters > maxCharacters ? ` of at most ${maxCharacters}` : "";
  const count = `${characters}${limit} ${characters === 1 ? "character" : "characters"}`;
  return `${count} · about ${tokens}${maxTokens === null ? "" : ` of ${maxTokens}`} ${tokens === 1 && maxTokens === null ? "token" : "tokens"}`;
}

export function showPromptCount(prompt: string, syntax: string, { max_prompt_tokens: limit, limits }: Model): void {
  const maxTokens = limit ? limit * (syntax === "weighted" ? WEIGHTED_PARTS : 1) : null;
  const element = byId("prompt-count", HTMLElement);
  setText(element, promptCountText(prompt, maxTokens, limits.max_prompt_characters));
  const isOver = characterCount(prompt) > limits.max_prompt_characters || (maxTokens !== null && approximateTokens(prompt) > maxTokens);
  element.classList.toggle("is-over", isOver);
}
