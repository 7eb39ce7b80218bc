/** Texts and numbers of the operator page. Pure. */

import { duration } from "../formatting";
import type { Alert, AlertState, Worker, WorkerTimes } from "./operations";

const UNKNOWN = "–";

export const STATE_LABELS: Readonly<Record<AlertState, string>> = { firing: "Firing", pending: "Pending", ok: "OK" };
const STATES = Object.keys(STATE_LABELS) as readonly AlertState[];

/** The most urgent state of all alerts. */
export function worstState(alerts: readonly Alert[]): AlertState {
  return STATES.find((state) => alerts.some((alert) => alert.state === state)) ?? "ok";
}

/** The page's first line: the only alert that needs attention, or the number of such alerts. */
export function headline(alerts: readonly Alert[]): string {
  const state = worstState(alerts);
  if (state === "ok") return "All systems normal.";
  const urgent = alerts.filter((alert) => alert.state === state);
  return urgent.length === 1 ? `${urgent[0]?.title ?? ""}: ${state}.` : state === "firing" ? `${urgent.length} problems need action.` : `${urgent.length} warnings.`;
}

/** Sort by state. Alerts of the same state keep their order, which is by severity. */
export function mostUrgentFirst(alerts: readonly Alert[]): readonly Alert[] {
  return STATES.flatMap((state) => alerts.filter((alert) => alert.state === state));
}

export function pageTitle(alerts: readonly Alert[]): string {
  const firing = alerts.filter(({ state }) => state === "firing").length;
  return firing === 0 ? "darkroom operations" : `(${firing}) darkroom operations`;
}

/** "demo, sdxl (broken: OSError: no weights)". */
export function modelsOf({ models, broken_models }: Worker): string {
  const reasons = new Map(broken_models.map(({ model, reason }) => [model, ` (broken: ${reason})`]));
  return models.map((model) => model + (reasons.get(model) ?? "")).join(", ");
}

export function count(value: number): string {
  return value.toLocaleString("en");
}

export function seconds(value: number | null): string {
  if (value === null) return UNKNOWN;
  if (value === 0) return "0 s";
  return value < 3_600 ? duration(value) : `${(value / 3_600).toFixed(1)} h`;
}

/** Like `seconds`, but with fractions of minutes: "7.5 min". */
export function shortDuration(value: number | null): string {
  if (value === null || value < 60 || value >= 3_600) return seconds(value);
  return `${(value / 60).toFixed(1)} min`;
}

/** Put a non-breaking space between each number and its unit. */
export function joinUnits(text: string): string {
  return text.replace(/(\d) (?=%|(?:s|min|h)\b)/g, "$1\u00a0");
}

export function rate(perMinute: number): string {
  return perMinute >= 10 || perMinute === 0 ? perMinute.toFixed(0) : perMinute.toFixed(1);
}

/** An average with one decimal, if it has any: "2", "1.5". */
export function average(value: number): string {
  return String(Number(value.toFixed(1)));
}

export function share(part: number, whole: number): string {
  return whole === 0 ? UNKNOWN : `${Number(((100 * part) / whole).toPrecision(2))} %`;
}

/** The duration of a step: "21 ms", or one line per model ("demo 21 ms") if the worker has several. */
export function stepTimes(worker: Worker): string {
  return linePerModel(worker, ({ step_seconds: step }) =>
    step >= 1 ? `${step.toFixed(2)} s` : `${Number((1_000 * step).toPrecision(2))} ms`,
  );
}

/** Megapixels per second through the network. A unit of GPU time is a million pixels. */
export function throughput(worker: Worker): string {
  return linePerModel(worker, (times) => `${Number((1 / times.gpu_seconds_per_unit).toPrecision(3))} Mpx/s`);
}

function linePerModel({ times }: Worker, format: (times: WorkerTimes) => string): string {
  const lines = times.map((one) => (times.length > 1 ? `${one.model} ${format(one)}` : format(one)));
  return lines.join("\n") || UNKNOWN;
}

/** The age of a timestamp. Both are times of the server, so the browser's clock does not matter. */
export function ago(then: string, now: string): string {
  const passed = Math.max(0, Math.round((Date.parse(now) - Date.parse(then)) / 1_000));
  return `${passed < 60 ? `${passed} s` : seconds(passed)} ago`;
}

export function timeOfDay(timestamp: string): string {
  return new Date(timestamp).toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit" });
}

export function timeWithSeconds(time: Date): string {
  return time.toLocaleTimeString(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit" });
}
