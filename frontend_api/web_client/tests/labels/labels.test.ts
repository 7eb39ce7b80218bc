import { expect, test } from "vitest";

import { countedLabels, favouriteChange, isFavourite, ownLabels, parseLabel } from "../../src/labels/labels";
import { taskAt } from "../tasks";

test("label is read as name=value", () => {
  expect(parseLabel(" Team = a=b ")).toEqual({ name: "team", value: "a=b" });
  expect(parseLabel("sketch")).toEqual({ name: "sketch", value: "true" });
  expect(parseLabel("sketch=")).toEqual({ name: "sketch", value: "" });
});

test("text that is no label is explained", () => {
  for (const text of ["", "=a", "a b=c", "-a=b", "ä=b", "a".repeat(64)]) expect(parseLabel(text)).toContain("Write a label");
  expect(parseLabel(`a=${"😀".repeat(101)}`)).toBe("The value has at most 100 characters.");
  expect(parseLabel(`a=${"😀".repeat(100)}`)).toEqual({ name: "a", value: "😀".repeat(100) });
});

test("favourite is a label that is not listed with the others", () => {
  const task = taskAt(1, { labels: { team: "a", favorite: "true", order: "7" } });
  expect(isFavourite(task)).toBe(true);
  expect(ownLabels(task)).toEqual([{ name: "order", value: "7" }, { name: "team", value: "a" }]);
  expect(isFavourite(taskAt(1, { labels: { favorite: "no" } }))).toBe(false);
  expect(favouriteChange(true)).toEqual({ favorite: "true" });
  expect(favouriteChange(false)).toEqual({ favorite: null });
});

test("labels are counted, the most frequent first", () => {
  const tasks = [taskAt(1, { labels: { a: "1" } }), taskAt(2, { labels: { b: "1" } }), taskAt(3, { labels: { b: "1", a: "2" } })];
  expect(countedLabels(tasks).map(({ name, value, count }) => `${name}=${value} ${count}`)).toEqual(["b=1 2", "a=1 1", "a=2 1"]);
});

test("labels that are no text are ignored", () => {
  expect(taskAt(1, { labels: { a: 1, b: "x", c: null } }).labels).toEqual({ b: "x" });
  expect(taskAt(1, { labels: "none" }).labels).toEqual({});
});
