import { expect, test } from "vitest";

import { captionOf, choicesFor, pairOf } from "../../src/compare/compared";
import { taskAt, withImages } from "../tasks";

const ONE = taskAt(3, { id: "one", ...withImages(1) });
const PAIR = taskAt(2, { id: "pair", ...withImages(2) });
const EDITED = taskAt(1, { id: "edited", ...withImages(1), parameters: { image: "a1" } });
const PICTURES = [ONE, PAIR, EDITED].flatMap((task) => task.images.map(({ index }) => ({ task, index })));

test("a picture is compared with its neighbours in the list, and first with its input picture", () => {
  const labels = (position: number) => PICTURES.slice(position, position + 1).map((picture) => choicesFor(picture, PICTURES).map(({ label }) => label))[0];
  expect(labels(0)).toEqual(["Next image"]);
  expect(labels(1)).toEqual(["Next image", "Previous image"]);
  expect(labels(3)).toEqual(["Input picture", "Previous image"]);
  expect(choicesFor({ task: PAIR, index: 0 }, PICTURES).map(({ picture }) => picture)).toEqual([{ task: PAIR, index: 1 }, { task: ONE, index: 0 }]);
});

test("a picture that the list lacks has no neighbours", () => {
  expect(choicesFor({ task: taskAt(9, withImages(1)), index: 0 }, PICTURES)).toEqual([]);
  expect(choicesFor({ task: EDITED, index: 0 }, [])).toEqual([{ label: "Input picture", picture: { input: "a1" } }]);
});

test("exactly two images of the selected tasks are a pair", () => {
  expect(pairOf([PAIR])).toEqual([{ task: PAIR, index: 0 }, { task: PAIR, index: 1 }]);
  expect(pairOf([ONE, taskAt(0), EDITED])).toEqual([{ task: ONE, index: 0 }, { task: EDITED, index: 0 }]);
  for (const tasks of [[], [ONE], [ONE, PAIR]]) expect(pairOf(tasks)).toBeNull();
});

test("a caption contains the prompt, the model, the seed and the size of the file", () => {
  const task = taskAt(1, { ...withImages(2), parameters: { prompt: "a fox", model: "demo", seed: 7 } });
  expect(captionOf({ task, index: 1 }, { width: 64, height: 48 })).toEqual({ title: "a fox", facts: "demo · seed 1 · 64 × 48" });
  expect(captionOf({ input: "a1" }, { width: 64, height: 48 })).toEqual({ title: "Input picture", facts: "64 × 48" });
});
