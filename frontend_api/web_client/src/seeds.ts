/** Seeds are 64-bit, but JavaScript numbers are exact only up to 2^53. The page stores a seed as its decimal digits. */

export type Seed = string;

export const MAX_SEED = 2n ** 63n - 1n;

/** Parse a typed seed. Return its digits without separators and leading zeros; null if it is invalid. */
export function parseSeed(typed: string): Seed | null {
  const digits = typed.replace(/[\s_,.']/g, "");
  if (!/^\d{1,19}$/.test(digits)) return null;
  const value = BigInt(digits);
  return value <= MAX_SEED ? value.toString() : null;
}

/** The digits of a seed from Firestore; null if the number is too large to be exact. */
export function exactSeed(value: unknown): Seed | null {
  if (typeof value === "bigint") return value.toString();
  return typeof value === "number" && Number.isSafeInteger(value) ? value.toString() : null;
}

/** Parse JSON with every `seed` as digits. Quotes inside JSON strings are escaped, so only keys match. */
export function parseWithExactSeeds(json: string): unknown {
  return JSON.parse(json.replace(/"seed"(\s*:\s*)(\d+)/g, '"seed"$1"$2"'));
}

/** Serialize a flat JSON object with the seed as a number of any size. */
export function jsonWithSeed(fields: Readonly<Record<string, unknown>>, seed: Seed | null): string {
  const json = JSON.stringify(fields);
  if (seed === null) return json;
  const separator = json === "{}" ? "" : ",";
  return `${json.slice(0, -1)}${separator}"seed":${seed}}`;
}
