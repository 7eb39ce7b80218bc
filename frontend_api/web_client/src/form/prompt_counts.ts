/** The length of the prompt in characters and tokens. */

import type { Model } from "@darkroom/web";

import { byId, setText } from "../dom";

/** A weighted prompt is read in so many parts of the model's limit. */
const WEIGHTED_PARTS = 8;

/** A prompt whose tokens the service has counted. */
export interface CountedPrompt {
  readonly prompt: string;
  readonly tokens: number;
}

/** Pure. About the number of tokens: words, digits and signs. */
export function approximateTokens(prompt: string): number {
  return prompt.match(/\p{L}[\p{L}\p{M}]*|\p{N}|[^\s\p{L}\p{N}]/gu)?.length ?? 0;
}

/**
 * Pure. The number of tokens, "about" unless the service has counted this prompt.
 *
 * While it counts an edited one, its earlier number stands for the change, because its warning is still shown.
 */
export function tokenCount(prompt: string, counted: CountedPrompt | null): { tokens: number; isExact: boolean } {
  const tokens = approximateTokens(prompt);
  if (counted === null) return { tokens, isExact: false };
  if (counted.prompt.trim() === prompt.trim()) return { tokens: counted.tokens, isExact: true };
  return { tokens: Math.round((tokens * counted.tokens) / Math.max(1, approximateTokens(counted.prompt))), isExact: false };
}

/** Pure. The number of characters as the API counts them. */
export function characterCount(prompt: string): number {
  return Array.from(prompt.trim()).length;
}

/** Pure. "12 characters · about 3 of 30 tokens"; the limit of characters is named where the prompt exceeds it. */
export function promptCountText(prompt: string, maxTokens: number | null, maxCharacters: number, counted: CountedPrompt | null = null): string {
  const characters = characterCount(prompt);
  if (characters === 0) return "";
  const { tokens, isExact } = tokenCount(prompt, counted);
  const limit = characters > maxCharacters ? ` of at most ${maxCharacters}` : "";
  const count = `${characters}${limit} ${characters === 1 ? "character" : "characters"}`;
  return `${count} · ${isExact ? "" : "about "}${tokens}${maxTokens === null ? "" : ` of ${maxTokens}`} ${tokens === 1 && maxTokens === null ? "token" : "tokens"}`;
}

/** The count below the prompt. */
export class PromptCount {
  readonly #element = byId("prompt-count", HTMLElement);
  #shown: readonly [prompt: string, syntax: string, model: Model] | null = null;
  #counted: CountedPrompt | null = null;

  show(prompt: string, syntax: string, model: Model): void {
    this.#shown = [prompt, syntax, model];
    const { max_prompt_tokens: limit, limits } = model;
    const maxTokens = limit ? limit * (syntax === "weighted" ? WEIGHTED_PARTS : 1) : null;
    setText(this.#element, promptCountText(prompt, maxTokens, limits.max_prompt_characters, this.#counted));
    const isOver = characterCount(prompt) > limits.max_prompt_characters || (maxTokens !== null && tokenCount(prompt, this.#counted).tokens > maxTokens);
    this.#element.classList.toggle("is-over", isOver);
  }

  /** Set the service's number of tokens of the shown prompt; null: it named none. */
  setTokens(tokens: number | null): void {
    if (this.#shown === null) return;
    this.#counted = tokens === null ? null : { prompt: this.#shown[0], tokens };
    this.show(...this.#shown);
  }
}
