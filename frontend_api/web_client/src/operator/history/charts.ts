/** The charts of the history: their figures, bars and texts. Pure. */

import { average, count, rate, seconds, share, timeOfDay } from "../formatting";
import type { Bucket, History } from "../operations";

export interface Series {
  readonly name: string;
  readonly kind: "usual" | "bad" | "other";
  /** Null if the figure of the bucket is unknown. */
  readonly value: (bucket: Bucket) => number | null;
}

/** A bar chart. Several series are stacked. */
export interface Chart {
  readonly name: string;
  readonly title: string;
  readonly series: readonly Series[];
  readonly format: (value: number) => string;
  /** The lowest value at the top edge, so that small values do not look high. */
  readonly minTop: number;
}

export interface Bars {
  /** The number of buckets: the width of the paths. */
  readonly width: number;
  /** One SVG path per series. */
  readonly paths: readonly string[];
  /** The path of the buckets with unknown figures. */
  readonly unknown: string;
}

export const CHART_HEIGHT = 40;
const [BAR_OFFSET, BAR_WIDTH] = [0.1, 0.8];

const perMinute = (value: (bucket: Bucket) => number | null) => (bucket: Bucket): number | null => {
  const figure = value(bucket);
  return figure === null ? null : figure / bucket.measured_minutes;
};

export const CHARTS: readonly Chart[] = [
  {
    name: "queued",
    title: "Queued tasks",
    series: [{ name: "queued", kind: "usual", value: ({ queued }) => queued }],
    format: count,
    minTop: 1,
  },
  {
    name: "finished",
    title: "Finished tasks per minute",
    series: [
      { name: "completed", kind: "usual", value: perMinute(({ completed }) => completed) },
      { name: "failed", kind: "bad", value: perMinute(({ failed }) => failed) },
      { name: "cancelled", kind: "other", value: perMinute(({ cancelled }) => cancelled) },
    ],
    format: rate,
    minTop: 1,
  },
  {
    name: "failure-rate",
    title: "Failed tasks, of completed and failed",
    series: [{ name: "failed", kind: "bad", value: failureRate }],
    format: percentage,
    minTop: 0.1,
  },
  {
    name: "api-errors",
    title: "API responses with status 5xx",
    series: [{ name: "failed", kind: "bad", value: apiErrorRate }],
    format: percentage,
    minTop: 0.1,
  },
  {
    name: "workers",
    title: "Workers",
    series: [{ name: "workers", kind: "usual", value: ({ workers }) => workers }],
    format: average,
    minTop: 1,
  },
  {
    name: "gpu-time",
    title: "GPU time per minute",
    series: [
      { name: "used", kind: "usual", value: perMinute(({ gpu_seconds }) => gpu_seconds) },
      { name: "wasted", kind: "bad", value: perMinute(({ wasted_gpu_seconds }) => wasted_gpu_seconds) },
    ],
    format: seconds,
    minTop: 1,
  },
];

function percentage(part: number): string {
  return share(part, 1);
}

function failureRate({ completed, failed }: Bucket): number | null {
  if (completed === null || failed === null) return null;
  return failed === 0 ? 0 : failed / (completed + failed);
}

function apiErrorRate({ responses, failed_responses }: Bucket): number | null {
  return responses === 0 ? null : failed_responses / responses;
}

/** The values of the series; null if one is unknown. */
function valuesOf({ series }: Chart, bucket: Bucket): readonly number[] | null {
  const values = series.map(({ value }) => value(bucket)).filter((value) => value !== null);
  return values.length === series.length ? values : null;
}

function sum(values: readonly number[]): number {
  return values.reduce((total, value) => total + value, 0);
}

/** Compute the bars, in a coordinate system with one unit of width per bucket. */
export function barsOf(chart: Chart, history: History): Bars {
  const since = Date.parse(history.since);
  const step = history.bucket_seconds * 1_000;
  const width = Math.max(1, Math.ceil((Date.parse(history.until) - since) / step));
  const stacks = new Map<number, readonly number[]>();
  for (const bucket of history.buckets) {
    const values = valuesOf(chart, bucket);
    if (values !== null) stacks.set(Math.round((Date.parse(bucket.start) - since) / step), values);
  }
  const scale = CHART_HEIGHT / Math.max(chart.minTop, ...[...stacks.values()].map(sum));
  const paths = chart.series.map((_, series) =>
    [...stacks].map(([index, values]) => {
      const height = (values[series] ?? 0) * scale;
      const base = CHART_HEIGHT - sum(values.slice(0, series)) * scale;
      return height === 0 ? "" : rectangle(index + BAR_OFFSET, base - height, BAR_WIDTH, height);
    }).join(""),
  );
  const unknown = Array.from({ length: width }, (_, index) =>
    stacks.has(index) ? "" : rectangle(index, 0, 1, CHART_HEIGHT),
  ).join("");
  return { width, paths, unknown };
}

function rectangle(x: number, y: number, width: number, height: number): string {
  const [left, top] = [Number(x.toFixed(2)), Number(y.toFixed(2))];
  return `M${left} ${top}h${width}V${Number((y + height).toFixed(2))}h${-width}z`;
}

/** Describe the chart: its last value, and its highest one with the time. */
export function describeChart(chart: Chart, history: History): string {
  let last: number | null = null;
  let highest = -1;
  let highestAt = "";
  for (const bucket of history.buckets) {
    const values = valuesOf(chart, bucket);
    if (values === null) continue;
    const value = sum(values);
    last = value;
    if (value > highest) [highest, highestAt] = [value, bucket.start];
  }
  if (last === null) return "no figures";
  if (highest === 0) return `${chart.format(0)} all the time`;
  return `last ${chart.format(last)}, highest ${chart.format(highest)} at ${timeOfDay(highestAt)}`;
}
