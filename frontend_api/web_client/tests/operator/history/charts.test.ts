import { expect, test } from "vitest";

import { CHARTS, CHART_HEIGHT, type Chart, barsOf, describeChart } from "../../../src/operator/history/charts";
import { timeOfDay } from "../../../src/operator/formatting";
import type { Bucket, History } from "../../../src/operator/operations";

const EMPTY: Bucket = {
  start: "2026-11-20T12:00:00Z",
  measured_minutes: 0,
  queued: null,
  oldest_seconds: null,
  workers: null,
  completed: null,
  failed: null,
  cancelled: null,
  gpu_seconds: null,
  wasted_gpu_seconds: null,
  responses: 0,
  failed_responses: 0,
};
const MEASURED: Bucket = {
  ...EMPTY,
  measured_minutes: 5,
  queued: 4,
  oldest_seconds: 12,
  workers: 1,
  completed: 10,
  failed: 5,
  cancelled: 5,
  gpu_seconds: 150,
  wasted_gpu_seconds: 50,
  responses: 200,
  failed_responses: 1,
};

function historyOf(...buckets: readonly Partial<Bucket>[]): History {
  return {
    since: "2026-11-20T12:00:00Z",
    until: "2026-11-20T12:20:00Z",
    bucket_seconds: 300,
    buckets: buckets.map((bucket) => ({ ...MEASURED, ...bucket })),
  };
}

function chart(name: string): Chart {
  const found = CHARTS.find((one) => one.name === name);
  if (found === undefined) throw new Error(name);
  return found;
}

const at = (minute: number) => `2026-11-20T12:${String(minute).padStart(2, "0")}:00Z`;

test("barsOf draws the highest value up to the top, and marks unknown buckets", () => {
  const bars = barsOf(chart("queued"), historyOf({ queued: 8 }, { start: at(10), queued: 2 }, { ...EMPTY, start: at(15) }));
  expect(bars.width).toBe(4);
  expect(bars.paths).toEqual(["M0.1 0h0.8V40h-0.8zM2.1 30h0.8V40h-0.8z"]);
  expect(bars.unknown).toBe("M1 0h1V40h-1zM3 0h1V40h-1z");
});

test("barsOf stacks the series of a chart", () => {
  const bars = barsOf(chart("finished"), historyOf({}));
  expect(bars.paths).toEqual(["M0.1 20h0.8V40h-0.8z", "M0.1 10h0.8V20h-0.8z", "M0.1 0h0.8V10h-0.8z"]);
});

test("barsOf draws a small share low", () => {
  const bars = barsOf(chart("api-errors"), historyOf({}));
  expect(bars.paths).toEqual([`M0.1 38h0.8V${CHART_HEIGHT}h-0.8z`]);
});

test.each([
  ["queued", [{ queued: 9 }, { start: at(10), queued: 2 }], `last 2, highest 9 at ${timeOfDay(at(0))}`],
  ["finished", [{}], `last 4.0, highest 4.0 at ${timeOfDay(at(0))}`],
  ["failure-rate", [{}], `last 33 %, highest 33 % at ${timeOfDay(at(0))}`],
  ["failure-rate", [{ completed: 0, failed: 0 }], "0 % all the time"],
  ["api-errors", [{}, { start: at(5), responses: 0, failed_responses: 0 }], `last 0.5 %, highest 0.5 % at ${timeOfDay(at(0))}`],
  ["workers", [{ workers: 2 }, { start: at(5), workers: 0.44 }], `last 0.4, highest 2 at ${timeOfDay(at(0))}`],
  ["gpu-time", [{}], `last 40 s, highest 40 s at ${timeOfDay(at(0))}`],
  ["queued", [EMPTY], "no figures"],
] as const)("describeChart describes %s", (name, buckets, text) => {
  expect(describeChart(chart(name), historyOf(...buckets))).toBe(text);
});
