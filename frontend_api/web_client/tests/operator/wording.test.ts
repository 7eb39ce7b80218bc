import { expect, test } from "vitest";

import type { Alert, Worker, WorkerTimes } from "../../src/operator/operations";
import {
  ago, brief, headline, modelsOf, mostUrgentFirst, rate, seconds, share, stepTimes, throughput, summaryOf, titleFor, unbroken,
} from "../../src/operator/wording";

function alert(name: string, state: Alert["state"]): Alert {
  return { name, title: `The ${name}`, severity: "ERROR", state, says: "", runbook: "" };
}

function worker(...times: Pick<WorkerTimes, "model" | "step_seconds" | "gpu_seconds_per_unit">[]): Worker {
  return {
    worker_id: "worker-1", models: ["demo"], broken_models: [], device: "cuda", slots: 8, deliveries: 10,
    reported_at: "2026-01-01T12:00:00Z", times: times.map((one) => ({ pass_pixels: 131_072, images: 9, ...one })),
  };
}

test.each<[Alert["state"][], string, string]>([
  [["ok", "ok"], "ok", "All alerts are OK."],
  [["ok", "pending"], "pending", "The b."],
  [["pending", "pending", "ok"], "pending", "Two alerts are pending."],
  [["pending", "firing"], "firing", "The b."],
  [["firing", "ok", "firing", "pending", "firing"], "firing", "Three alerts are firing."],
  [Array<Alert["state"]>(8).fill("firing"), "firing", "8 alerts are firing."],
])("%j is %s: %s", (states, summary, words) => {
  const alerts = states.map((state, index) => alert("abcdefgh".charAt(index), state));
  expect(summaryOf(alerts)).toBe(summary);
  expect(headline(alerts)).toBe(words);
});

test("firing alerts come first, and otherwise the order is kept", () => {
  const alerts = [alert("a", "ok"), alert("b", "pending"), alert("c", "firing"), alert("d", "firing")];
  expect(mostUrgentFirst(alerts).map(({ name }) => name)).toEqual(["c", "d", "b", "a"]);
});

test("the tab's title counts the firing alerts", () => {
  expect(titleFor([alert("a", "pending")])).toBe("darkroom operations");
  expect(titleFor([alert("a", "firing"), alert("b", "firing")])).toBe("(2) darkroom operations");
});

test.each([
  [null, "–"], [0, "0 s"], [3.21, "3.2 s"], [125, "2 min 05 s"], [9_000, "2.5 h"],
])("%s seconds read as %s", (value, words) => {
  expect(seconds(value)).toBe(words);
});

test("where there is little room minutes have fractions", () => {
  expect([brief(null), brief(7.2), brief(451), brief(7_200)]).toEqual(["–", "7.2 s", "7.5 min", "2.0 h"]);
});

test("a number and its unit stay on one line", () => {
  expect(unbroken("0 of 9 failed; 5 % may, for 15 min or 90 s")).toBe("0 of 9 failed; 5\u00a0% may, for 15\u00a0min or 90\u00a0s");
});

test.each([[0, "0"], [2.44, "2.4"], [12.6, "13"]])("%s a minute reads as %s", (value, words) => {
  expect(rate(value)).toBe(words);
});

test("a share of nothing is unknown", () => {
  expect(share(0, 0)).toBe("–");
  expect(share(1, 3)).toBe("33 %");
  expect(share(1, 800)).toBe("0.13 %");
});

test("a worker tells its pace, of each model where it has several", () => {
  expect([stepTimes(worker()), throughput(worker())]).toEqual(["–", "–"]);
  const one = worker({ model: "demo", step_seconds: 0.0448, gpu_seconds_per_unit: 0.3123 });
  expect([stepTimes(one), throughput(one)]).toEqual(["45 ms", "3.2 Mpx/s"]);
  const two = worker(
    { model: "demo", step_seconds: 0.02, gpu_seconds_per_unit: 0.01 },
    { model: "flux", step_seconds: 1.5, gpu_seconds_per_unit: 2 },
  );
  expect(stepTimes(two)).toBe("demo 20 ms\nflux 1.50 s");
  expect(throughput(two)).toBe("demo 100 Mpx/s\nflux 0.5 Mpx/s");
});

test("how long ago is told by the server's clock, and never of the future", () => {
  expect(ago("2026-01-01T12:00:00Z", "2026-01-01T12:00:07.2Z")).toBe("7 s ago");
  expect(ago("2026-01-01T12:00:00Z", "2026-01-01T12:02:05Z")).toBe("2 min 05 s ago");
  expect(ago("2026-01-01T12:00:01Z", "2026-01-01T12:00:00Z")).toBe("0 s ago");
});

test("a worker's broken models are named with the reason", () => {
  const broken = { ...worker(), models: ["demo", "sdxl"], broken_models: [{ model: "sdxl", reason: "OSError: no weights" }] };
  expect(modelsOf(broken)).toBe("demo, sdxl (broken: OSError: no weights)");
});
