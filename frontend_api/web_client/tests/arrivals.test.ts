import { readTaskDocument } from "@darkroom/web";
import { expect, test } from "vitest";

import { arrivalsOf } from "../src/arrivals";

const tasks = (...ids: string[]) => ids.map((id) => readTaskDocument(id, {}));
const arrivals = (ids: string[], known: string[], { own = [] as string[], isScrolled = true } = {}) => {
  const { shown, waiting } = arrivalsOf(tasks(...ids), new Set(known), new Set(own), isScrolled);
  return [shown.map(({ id }) => id).join(""), waiting];
};

test("new tasks from elsewhere wait while the list is scrolled", () => {
  expect(arrivals(["d", "c", "b", "a"], ["b", "a"])).toEqual(["ba", 2]);
  expect(arrivals(["d", "c", "b", "a"], ["b", "a"], { isScrolled: false })).toEqual(["dcba", 0]);
});

test("tasks of this page and older tasks are shown at once", () => {
  expect(arrivals(["d", "c", "b"], ["c"], { own: ["d"] })).toEqual(["dcb", 0]);
});

test("a list without known tasks is shown", () => {
  expect(arrivals(["b", "a"], [])).toEqual(["ba", 0]);
});
