/** Seeds that users type, and random seeds. */

import type { Seed } from "@darkroom/web";

export const MAX_SEED = 2n ** 63n - 1n;

/** Parse a typed seed. Return its digits without separators and leading zeros; null if it is invalid. */
export function parseSeed(typed: string): Seed | null {
  const text = typed.trim();
  // Separators only between groups of three digits: "1.5" is no seed.
  const isGrouped = /^\d{1,3}(?:([\s_,.'])\d{3})(?:\1\d{3})*$/.test(text);
  const digits = isGrouped ? text.replace(/\D/g, "") : text.replaceAll("_", "");
  if (!/^\d{1,19}$/.test(digits)) return null;
  const value = BigInt(digits);
  return value <= MAX_SEED ? value.toString() : null;
}

/** A random seed, as the service chooses one. */
export function randomSeed(): Seed {
  return String(crypto.getRandomValues(new Uint32Array(1))[0] ?? 0);
}
