/** The recent samples of a figure, and their line chart. Pure. */

export interface Sample {
  /** Milliseconds since the epoch. */
  readonly at: number;
  readonly value: number;
}

export const KEPT_MILLISECONDS = 10 * 60_000;
/** Samples that are further apart are not connected. */
const MAX_GAP_MILLISECONDS = 20_000;
/** The shortest time that the chart's width represents. */
const MIN_SPAN_MILLISECONDS = 60_000;

/** Append a sample and drop those that are too old. */
export function withSample(samples: readonly Sample[], sample: Sample): readonly Sample[] {
  return [...samples.filter(({ at }) => at > sample.at - KEPT_MILLISECONDS), sample];
}

/** Return an SVG path: the latest sample is at the right edge, the value 0 at the bottom. */
export function linePath(samples: readonly Sample[], width: number, height: number): string {
  const first = samples[0];
  const last = samples.at(-1);
  if (first === undefined || last === undefined) return "";
  const span = Math.max(last.at - first.at, MIN_SPAN_MILLISECONDS);
  const max = Math.max(1, ...samples.map(({ value }) => value));
  const points = samples.map(({ at, value }, index) => {
    const x = width - ((last.at - at) / span) * width;
    const y = height - (value / max) * height;
    const isConnected = at - (samples[index - 1]?.at ?? Number.NEGATIVE_INFINITY) <= MAX_GAP_MILLISECONDS;
    return `${isConnected ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`;
  });
  return points.join("");
}

/** Describe the chart in words. */
export function describeSamples(samples: readonly Sample[], format: (value: number) => string): string {
  const values = samples.map(({ value }) => value);
  const [first, last] = [samples[0], samples.at(-1)];
  if (first === undefined || last === undefined || first === last) return "no history yet";
  const minutes = Math.max(1, Math.round((last.at - first.at) / 60_000));
  const span = minutes === 1 ? "the last minute" : `the last ${minutes} minutes`;
  return `between ${format(Math.min(...values))} and ${format(Math.max(...values))} during ${span}`;
}
