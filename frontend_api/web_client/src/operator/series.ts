/** The last minutes of a figure, and their outline. Pure. */

export interface Sample {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly value: number;
}

export const KEPT_MILLISECONDS = 10 * 60_000;
/** A longer silence is a gap: nobody looked, or nobody answered. */
const GAP_MILLISECONDS = 20_000;
/** The outline is never drawn over less, or the first seconds would look dramatic. */
const LEAST_MILLISECONDS = 60_000;

/** With one more sample, and without those that are too old. */
export function joinedBy(samples: readonly Sample[], sample: Sample): readonly Sample[] {
  return [...samples.filter(({ at }) => at > sample.at - KEPT_MILLISECONDS), sample];
}

/** An SVG path in a box of this size; the latest sample stands at its right edge, 0 at its foot. */
export function outline(samples: readonly Sample[], width: number, height: number): string {
  const first = samples[0];
  const last = samples.at(-1);
  if (first === undefined || last === undefined) return "";
  const span = Math.max(last.at - first.at, LEAST_MILLISECONDS);
  const top = Math.max(1, ...samples.map(({ value }) => value));
  let earlier: Sample | null = null;
  const parts: string[] = [];
  for (const sample of samples) {
    const x = width - ((last.at - sample.at) / span) * width;
    const y = height - (sample.value / top) * height;
    const isConnected = earlier !== null && sample.at - earlier.at <= GAP_MILLISECONDS;
    parts.push(`${isConnected ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`);
    earlier = sample;
  }
  return parts.join("");
}

/** What the outline shows, in words. */
export function described(samples: readonly Sample[], written: (value: number) => string): string {
  const values = samples.map(({ value }) => value);
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || first === last) return "Nothing to compare with yet";
  const minutes = Math.max(1, Math.round((last.at - first.at) / 60_000));
  const span = minutes === 1 ? "the last minute" : `the last ${minutes} minutes`;
  return `Between ${written(Math.min(...values))} and ${written(Math.max(...values))} over ${span}`;
}
