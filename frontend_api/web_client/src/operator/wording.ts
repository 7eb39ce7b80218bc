/** How the page says what it was told. Pure. */

import { duration } from "../formatting";
import type { Condition, Worker } from "./operations";

export const UNKNOWN = "–";

export type Verdict = "looking" | "well" | "watch" | "wants_you";

export const STATE_WORDS: Readonly<Record<Condition["state"], string>> = {
  fine: "Fine",
  watch: "Watch",
  wants_you: "Wants you",
};

export function verdictOf(conditions: readonly Condition[]): Verdict {
  if (conditions.some(({ state }) => state === "wants_you")) return "wants_you";
  return conditions.some(({ state }) => state === "watch") ? "watch" : "well";
}

/** The page's first line: one condition by its name, several by their number. */
export function headline(conditions: readonly Condition[]): string {
  const verdict = verdictOf(conditions);
  if (verdict === "well") return "All is well.";
  const [first, ...others] = conditions.filter(({ state }) => state === verdict);
  if (first === undefined) return "";
  if (others.length === 0) return `${first.title}.`;
  const count = NUMBERS[others.length + 1] ?? String(others.length + 1);
  return verdict === "watch" ? `${count} things to watch.` : `${count} things want you.`;
}

const NUMBERS: readonly string[] = ["None", "One", "Two", "Three", "Four", "Five", "Six"];

/** Those that want somebody first, and within a state as they were told: the gravest first. */
export function mostUrgentFirst(conditions: readonly Condition[]): readonly Condition[] {
  const rank = { wants_you: 0, watch: 1, fine: 2 } as const;
  return [...conditions].sort((one, other) => rank[one.state] - rank[other.state]);
}

export function titleFor(conditions: readonly Condition[]): string {
  const wanting = conditions.filter(({ state }) => state === "wants_you").length;
  return wanting === 0 ? "darkroom operations" : `(${wanting}) darkroom operations`;
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
