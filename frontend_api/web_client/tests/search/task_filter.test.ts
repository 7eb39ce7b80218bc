import type { TaskDocument } from "@darkroom/web";
import { expect, test } from "vitest";

import { searchText } from "../../src/search/search_text";
import { NO_FILTER, type TaskFilter, apiQuery, hasLocalPart, isEmpty, matcherOf } from "../../src/search/task_filter";
import { taskAt } from "../tasks";

const filter = (changes: Partial<TaskFilter>): TaskFilter => ({ ...NO_FILTER, ...changes });
const matches = (selected: TaskFilter, task: TaskDocument) => matcherOf(selected)(task);
const prompted = (prompt: string) => taskAt(1, { parameters: { prompt } });

test("prompt is found by its words in any order, without case and accents", () => {
  const task = prompted("A Café at Night");
  for (const text of ["night cafe", "CAFÉ", "  nig  ", ""]) expect(matches(filter({ text }), task)).toBe(true);
  expect(matches(filter({ text: "cafe day" }), task)).toBe(false);
});

test("status, model, labels and favourite must all match", () => {
  const task = taskAt(1, { status: "failed", parameters: { model: "demo" }, labels: { team: "a", favorite: "true" } });
  const label = { name: "team", value: "a" };
  expect(matches(filter({ status: "failed", model: "demo", label, isFavourite: true }), task)).toBe(true);
  expect(matches(filter({ status: "completed" }), task)).toBe(false);
  expect(matches(filter({ model: "other" }), task)).toBe(false);
  expect(matches(filter({ label: { name: "team", value: "b" } }), task)).toBe(false);
  expect(matches(filter({ label, isFavourite: true }), taskAt(1, { labels: { team: "a" } }))).toBe(false);
});

test("days include their beginning and their end in the time zone of the browser", () => {
  const at = (text: string) => taskAt(new Date(text).getTime() / 1_000);
  const day = filter({ from: "2026-03-29", to: "2026-03-29" });
  expect(matches(day, at("2026-03-29T00:00:00"))).toBe(true);
  expect(matches(day, at("2026-03-29T23:59:59"))).toBe(true);
  expect(matches(day, at("2026-03-28T23:59:59"))).toBe(false);
  expect(matches(day, at("2026-03-30T00:00:00"))).toBe(false);
});

test("API selects by everything but the prompt and a second label", () => {
  const label = { name: "team", value: "a" };
  const full = filter({ text: "fox", status: "failed", model: "demo", label, isFavourite: true, from: "2026-11-20" });
  expect(Object.fromEntries(apiQuery(full))).toEqual({
    status: "failed", model: "demo", label: "team=a", created_after: new Date("2026-11-20T00:00:00").toISOString(),
  });
  expect(apiQuery(filter({ isFavourite: true })).get("label")).toBe("favorite=true");
  expect([hasLocalPart(full), hasLocalPart(filter({ isFavourite: true })), hasLocalPart(filter({ label }))]).toEqual([true, false, false]);
  expect(hasLocalPart(filter({ label, isFavourite: true }))).toBe(true);
  expect([isEmpty(filter({ text: "  " })), isEmpty(full), isEmpty(filter({ to: "2026-11-20" }))]).toEqual([true, false, false]);
});

test("result says how many tasks were searched", () => {
  const view = { tasks: [taskAt(1)], hasMore: false, isLoading: false, error: null, searchedCount: 1_050 };
  expect(searchText({ ...view, filter: NO_FILTER })).toBe("");
  expect(searchText({ ...view, filter: filter({ text: "fox" }) })).toBe("1 found.");
  expect(searchText({ ...view, tasks: [], filter: filter({ text: "fox" }), hasMore: true })).toBe(
    "Nothing found in the newest 1,050 tasks. Older tasks are not searched yet.",
  );
  expect(searchText({ ...view, filter: filter({ text: "fox", status: "failed" }), hasMore: true })).toContain("tasks that match the other filters");
  expect(searchText({ ...view, filter: filter({ status: "failed" }), hasMore: true })).toBe("1 found so far.");
});
