/** Seeds are 64-bit, but JavaScript numbers are exact only up to 2^53. A seed is stored and sent as its decimal digits. */

export type Seed = string;

/** The digits of a seed from Firestore; null if the number is too large to be exact. */
export function exactSeed(value: unknown): Seed | null {
  if (typeof value === "bigint") return value.toString();
  return typeof value === "number" && Number.isSafeInteger(value) ? value.toString() : null;
}
