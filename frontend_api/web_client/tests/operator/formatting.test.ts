import { expect, test } from "vitest";

import type { Alert, Worker, WorkerTimes } from "../../src/operator/operations";
import {
  ago, headline, joinUnits, modelsOf, mostUrgentFirst, pageTitle, rate, seconds, share, shortDuration, stepTimes,
  throughput, worstState,
} from "../../src/operator/formatting";

function alert(name: string, state: Alert["state"]): Alert {
  return { name, title: `The ${name}`, state, says: "", runbook: "" };
}

function worker(...times: WorkerTimes[]): Worker {
  return {
    worker_id: "worker-1", models: ["demo"], broken_models: [], device: "cuda", slots: 8,
    reported_at: "2026-01-01T12:00:00Z", times,
  };
}

test.each<[Alert["state"][], string, string]>([
  [["ok", "ok"], "ok", "All systems normal."],
  [["ok", "pending"], "pending", "The b: pending."],
  [["pending", "pending", "ok"], "pending", "2 warnings."],
  [["pending", "firing"], "firing", "The b: firing."],
  [["firing", "ok", "firing", "pending", "firing"], "firing", "3 problems need action."],
])("the headline of %j, whose worst state is %s, is %s", (states, worst, text) => {
  const alerts = states.map((state, index) => alert("abcdefgh".charAt(index), state));
  expect(worstState(alerts)).toBe(worst);
  expect(headline(alerts)).toBe(text);
});

test("mostUrgentFirst sorts by state and keeps the order within a state", () => {
  const alerts = [alert("a", "ok"), alert("b", "pending"), alert("c", "firing"), alert("d", "firing")];
  expect(mostUrgentFirst(alerts).map(({ name }) => name)).toEqual(["c", "d", "b", "a"]);
});

test("pageTitle counts the firing alerts", () => {
  expect(pageTitle([alert("a", "pending")])).toBe("darkroom operations");
  expect(pageTitle([alert("a", "firing"), alert("b", "firing")])).toBe("(2) darkroom operations");
});

test.each([
  [null, "–"], [0, "0 s"], [3.21, "3.2 s"], [125, "2 min 05 s"], [9_000, "2.5 h"],
])("seconds of %s is %s", (value, words) => {
  expect(seconds(value)).toBe(words);
});

test("shortDuration has fractions of minutes", () => {
  expect([shortDuration(null), shortDuration(7.2), shortDuration(451), shortDuration(7_200)]).toEqual(["–", "7.2 s", "7.5 min", "2.0 h"]);
});

test("joinUnits puts a non-breaking space before each unit", () => {
  expect(joinUnits("0 of 9 failed; 5 % may, for 15 min or 90 s")).toBe("0 of 9 failed; 5\u00a0% may, for 15\u00a0min or 90\u00a0s");
});

test.each([[0, "0"], [2.44, "2.4"], [12.6, "13"]])("rate of %s per minute is %s", (value, words) => {
  expect(rate(value)).toBe(words);
});

test("share returns a percentage, or a dash if the whole is 0", () => {
  expect(share(0, 0)).toBe("–");
  expect(share(1, 3)).toBe("33 %");
  expect(share(1, 800)).toBe("0.13 %");
});

test("stepTimes and throughput have a line for each model of the worker", () => {
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

test("ago returns the age, and 0 s for a future timestamp", () => {
  expect(ago("2026-01-01T12:00:00Z", "2026-01-01T12:00:07.2Z")).toBe("7 s ago");
  expect(ago("2026-01-01T12:00:00Z", "2026-01-01T12:02:05Z")).toBe("2 min 05 s ago");
  expect(ago("2026-01-01T12:00:01Z", "2026-01-01T12:00:00Z")).toBe("0 s ago");
});

test("modelsOf includes the reason of a broken model", () => {
  const broken = { ...worker(), models: ["demo", "sdxl"], broken_models: [{ model: "sdxl", reason: "OSError: no weights" }] };
  expect(modelsOf(broken)).toBe("demo, sdxl (broken: OSError: no weights)");
});
