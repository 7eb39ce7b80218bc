/** The operator page's wording. Pure. */

import { duration } from "../formatting";
import type { Alert, Worker } from "./operations";

export const UNKNOWN = "–";

export type Summary = "loading" | "ok" | "pending" | "firing";

export const STATE_WORDS: Readonly<Record<Alert["state"], string>> = {
  ok: "OK",
  pending: "Pending",
  firing: "Firing",
};

export function summaryOf(alerts: readonly Alert[]): Summary {
  if (alerts.some(({ state }) => state === "firing")) return "firing";
  return alerts.some(({ state }) => state === "pending") ? "pending" : "ok";
}

/** The page's headline: the title of a single alert, or the number of alerts. */
export function headline(alerts: readonly Alert[]): string {
  const summary = summaryOf(alerts);
  if (summary === "ok") return "All alerts are OK.";
  const [first, ...others] = alerts.filter(({ state }) => state === summary);
  if (first === undefined) return "";
  if (others.length === 0) return `${first.title}.`;
  const count = NUMBERS[others.length + 1] ?? String(others.length + 1);
  return `${count} alerts are ${summary}.`;
}

const NUMBERS: readonly string[] = ["None", "One", "Two", "Three", "Four", "Five", "Six"];

/** Firing alerts first; within a state in the API's order, the most severe first. */
export function mostUrgentFirst(alerts: readonly Alert[]): readonly Alert[] {
  const rank = { firing: 0, pending: 1, ok: 2 } as const;
  return [...alerts].sort((one, other) => rank[one.state] - rank[other.state]);
}

export function titleFor(alerts: readonly Alert[]): string {
  const firing = alerts.filter(({ state }) => state === "firing").length;
  return firing === 0 ? "darkroom operations" : `(${firing}) darkroom operations`;
}

/** "demo, sdxl (broken: OSError: no weights)". */
export function modelsOf({ models, broken_models }: Worker): string {
  const reasons = new Map(broken_models.map(({ model, reason }) => [model, reason]));
  return models
    .map((model) => (reasons.has(model) ? `${model} (broken: ${reasons.get(model) ?? ""})` : model))
    .join(", ");
}

export function count(value: number): string {
  return value.toLocaleString("en");
}

export function seconds(value: number | null): string {
  if (value === null) return UNKNOWN;
  if (value === 0) return "0 s";
  return value < 3_600 ? duration(value) : `${(value / 3_600).toFixed(1)} h`;
}

/** The same where there is little room: "7.5 min". */
export function brief(value: number | null): string {
  if (value === null || value < 60 || value >= 3_600) return seconds(value);
  return `${(value / 60).toFixed(1)} min`;
}

/** No line ends between a number and its unit. */
export function unbroken(text: string): string {
  return text.replace(/(\d) (?=%|(?:s|min|h)\b)/g, "$1\u00a0");
}

export function rate(perMinute: number): string {
  return perMinute >= 10 || perMinute === 0 ? perMinute.toFixed(0) : perMinute.toFixed(1);
}

export function share(part: number, whole: number): string {
  return whole === 0 ? UNKNOWN : `${Number(((100 * part) / whole).toPrecision(2))} %`;
}

/** "demo 21 ms": what a step takes a worker of each model that it has drawn with. */
export function stepTimes(worker: Worker): string {
  const several = worker.times.length > 1;
  return (
    worker.times.map((one) => `${several ? `${one.model} ` : ""}${milliseconds(one.step_seconds)}`).join("\n") || UNKNOWN
  );
}

/** A million pixels through the network is a unit; its inverse is what a worker gets through. */
export function throughput(worker: Worker): string {
  const several = worker.times.length > 1;
  return (
    worker.times
      .map((one) => `${several ? `${one.model} ` : ""}${Number((1 / one.gpu_seconds_per_unit).toPrecision(3))} Mpx/s`)
      .join("\n") || UNKNOWN
  );
}

function milliseconds(value: number): string {
  return value >= 1 ? `${value.toFixed(2)} s` : `${Number((1_000 * value).toPrecision(2))} ms`;
}

/** How long ago, by the server's clock alone. */
export function ago(then: string, now: string): string {
  const passed = Math.max(0, Math.round((Date.parse(now) - Date.parse(then)) / 1_000));
  return `${passed < 60 ? `${passed} s` : seconds(passed)} ago`;
}

export function momentWithSeconds(moment: Date): string {
  return moment.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}
