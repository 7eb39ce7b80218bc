import { expect, test } from "vitest";

import { namedImages } from "../../src/selection/file_names";
import { deleteQuestion } from "../../src/selection/questions";
import { Selection } from "../../src/selection/selection";
import { taskAt, withImages } from "../tasks";

const ORDER = ["a", "b", "c", "d", "e"];
const selected = (selection: Selection) => ORDER.filter((id) => selection.has(id)).join("");

test("range extends from the last toggled task in both directions", () => {
  const selection = new Selection();
  selection.toggle("c");
  selection.extendTo("e", ORDER);
  expect(selected(selection)).toBe("cde");
  selection.extendTo("a", ORDER);
  expect(selected(selection)).toBe("abcde");
});

test("range without a beginning selects one task", () => {
  const selection = new Selection();
  selection.extendTo("b", ORDER);
  selection.extendTo("d", ORDER);
  expect(selected(selection)).toBe("bcd");
});

test("tasks that leave the list are not selected any more", () => {
  const selection = new Selection();
  selection.selectAll(ORDER);
  selection.toggle("a");
  selection.retain(["b", "c"]);
  expect([selected(selection), selection.size]).toEqual(["bc", 2]);
  selection.extendTo("b", ["b", "c"]);
  expect(selected(selection)).toBe("bc");
});

test("file names are unique without regard to case", () => {
  const images = (id: string, prompt: string) => taskAt(1, { id, parameters: { prompt, seed: 7 }, ...withImages(2) });
  expect(namedImages([images("1", "A fox"), images("2", "a FOX!")]).map(({ name }) => name)).toEqual([
    "a-fox-0.png", "a-fox-1.png", "a-fox-0-2.png", "a-fox-1-2.png",
  ]);
});

test("file names are safe and fit every file system", () => {
  const [image] = namedImages([taskAt(1, { parameters: { prompt: `../..\\con:*?"<>|\u202e ${"e\u0301\u0302\u0303".repeat(200)}` }, ...withImages(1) })]);
  expect(image?.name).toMatch(/^con-[^/\\:*?"<>|\u202e]+\.png$/u);
  expect(new TextEncoder().encode(image?.name).length).toBeLessThanOrEqual(205);
});

test("question before a deletion counts images and unfinished tasks", () => {
  const question = deleteQuestion([taskAt(1, withImages(2)), taskAt(2, { status: "queued" })]);
  expect(question.title).toBe("Delete 2 tasks permanently?");
  expect(question.texts).toEqual(["2 images are deleted with them. This cannot be undone.", "1 unfinished task is cancelled first."]);
  expect(deleteQuestion([taskAt(1)]).texts).toEqual(["No image is deleted with them. This cannot be undone."]);
});
