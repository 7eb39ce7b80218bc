/** The stored figures of the last hours: charts, and the same as a table. */

import { byId, setText } from "../../dom";
import { errorText } from "../../problems";
import { average, count, seconds, share, timeOfDay } from "../formatting";
import type { Bucket, History } from "../operations";
import { Table } from "../table";
import { ChartView } from "./chart_view";
import { CHARTS } from "./charts";

const UNKNOWN = "–";
const known = (value: number | null, format: (value: number) => string) => (value === null ? UNKNOWN : format(value));

function noteOf({ since, until, bucket_seconds, buckets }: History): string {
  if (buckets.length === 0) return "No figures are stored yet. The API stores them each minute.";
  const step = bucket_seconds * 1_000;
  const measured = buckets.filter(({ measured_minutes }) => measured_minutes > 0).length;
  return measured * step < Date.parse(until) - Date.parse(since) ? "Shaded: times without stored figures." : "";
}

export class HistoryView {
  readonly #period = byId("history-period", HTMLSelectElement);
  readonly #note = byId("history-note", HTMLElement);
  readonly #details = byId("history-details", HTMLDetailsElement);
  readonly #charts = CHARTS.map((chart) => new ChartView(chart));
  readonly #table = new Table<Bucket>(
    byId("history-table", HTMLTableElement),
    [
      { title: "From", text: ({ start }) => timeOfDay(start) },
      { title: "Queued", isNumber: true, text: ({ queued }) => known(queued, count) },
      { title: "Oldest queued", isNumber: true, text: ({ oldest_seconds }) => seconds(oldest_seconds) },
      { title: "Workers", isNumber: true, text: ({ workers }) => known(workers, average) },
      { title: "Completed", isNumber: true, text: ({ completed }) => known(completed, count) },
      { title: "Failed", isNumber: true, text: ({ failed }) => known(failed, count) },
      { title: "Cancelled", isNumber: true, text: ({ cancelled }) => known(cancelled, count) },
      { title: "API errors", isNumber: true, text: ({ responses, failed_responses }) => share(failed_responses, responses) },
      { title: "GPU time", isNumber: true, text: ({ gpu_seconds }) => seconds(gpu_seconds) },
      { title: "Wasted", isNumber: true, text: ({ wasted_gpu_seconds }) => seconds(wasted_gpu_seconds) },
    ],
    ({ start }) => start,
    "history-row",
  );
  #buckets: readonly Bucket[] = [];

  constructor(onPeriodChange: () => void) {
    byId("charts", HTMLElement).append(...this.#charts.map(({ element }) => element));
    this.#period.addEventListener("change", onPeriodChange);
    this.#details.addEventListener("toggle", () => { this.#showTable(); });
  }

  get hours(): number {
    return Number(this.#period.value);
  }

  show(history: History): void {
    this.#buckets = history.buckets;
    for (const chart of this.#charts) chart.show(history);
    this.#showTable();
    setText(this.#note, noteOf(history));
  }

  /** The charts keep the figures that were read before. */
  showError(error: unknown): void {
    setText(this.#note, errorText(error, "The history could not be read."));
  }

  /** A closed table is empty, because it can have a thousand cells. */
  #showTable(): void {
    this.#table.show(this.#details.open ? this.#buckets.toReversed() : []);
  }
}
