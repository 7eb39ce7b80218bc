/**
 * The Trusted Types policy for code that assigns text to `innerHTML`: only text remains of it.
 *
 * The viewer of the API reference assigns brackets, and messages from servers. Import this module first.
 */

interface PolicyFactory {
  createPolicy(name: string, rules: { createHTML(text: string): string }): unknown;
}

/** Pure. Remove all tags, and quote what is left of markup. */
export function textOf(markup: string): string {
  return markup.replace(/<[^>]*>/g, "").replaceAll("<", "&lt;");
}

(globalThis as { trustedTypes?: PolicyFactory }).trustedTypes?.createPolicy("default", { createHTML: textOf });
