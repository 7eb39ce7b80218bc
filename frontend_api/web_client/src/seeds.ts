/**
 * Seeds are 64-bit on the wire and JavaScript numbers are exact only up to 2^53: here a seed is its decimal digits.
 *
 * The page never computes with seeds. It shows them, keeps them in a field and sends them back, digit for digit.
 */

export type Seed = string;

export const MAX_SEED = 2n ** 63n - 1n;

/** The seed that was typed, without spaces or leading zeros; null when it is not one. */
export function parsedSeed(typed: string): Seed | null {
  const digits = typed.replace(/[\s_,.']/g, "");
  if (!/^\d{1,19}$/.test(digits)) return null;
  const value = BigInt(digits);
  return value <= MAX_SEED ? value.toString() : null;
}

/** The digits of a seed read from Firestore; null when the number no longer tells which seed it was. */
export function exactSeed(value: unknown): Seed | null {
  if (typeof value === "bigint") return value.toString();
  return typeof value === "number" && Number.isSafeInteger(value) ? value.toString() : null;
}

/** Parse a JSON document with every seed as digits. A quote inside a JSON string is escaped, so keys alone match. */
export function parsedWithExactSeeds(json: string): unknown {
  return JSON.parse(json.replace(/"seed"(\s*:\s*)(\d+)/g, '"seed"$1"$2"'));
}

/** Write a flat JSON object with the seed as a number, whatever its size. */
export function jsonWithSeed(fields: Readonly<Record<string, unknown>>, seed: Seed | null): string {
  const json = JSON.stringify(fields);
  if (seed === null) return json;
  const separator = json === "{}" ? "" : ",";
  return `${json.slice(0, -1)}${separator}"seed":${seed}}`;
}
