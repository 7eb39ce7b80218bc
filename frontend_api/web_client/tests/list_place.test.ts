import { expect, test } from "vitest";

import { taskOf } from "../src/list_place";
import { taskAt } from "./tasks";

const tasks = [3, 2, 1].map((seconds) => taskAt(seconds));
const idOf = (id: string, createdAt: number) => taskOf({ id, createdAt, top: 40 }, tasks)?.id;

test("a place is where its task is", () => {
  expect(idOf("task-2", 2_000)).toBe("task-2");
});

test("the place of a deleted task is the next older one", () => {
  expect(idOf("deleted", 2_500)).toBe("task-2");
});

test("a place is unknown until the list reaches it", () => {
  expect(idOf("older", 500)).toBeUndefined();
  // Tasks that were submitted together have the same time.
  expect(idOf("together", 1_000)).toBeUndefined();
});
