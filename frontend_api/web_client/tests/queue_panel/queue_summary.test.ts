import { expect, test } from "vitest";

import { inQueueOrder, lastOfEachModel, liveCount, queueText } from "../../src/queue_panel/queue_summary";
import { taskAt } from "../tasks";

const queued = (time: number, model = "demo") => taskAt(time, { status: "queued", parameters: { model } });
const processing = (time: number) => taskAt(time, { status: "processing", parameters: { model: "demo" } });

test("queue is summarized with the time until all are finished", () => {
  expect(queueText([], null)).toBe("Nothing queued");
  expect(queueText([queued(1), queued(2), processing(3)], 130)).toBe("1 generating, 2 queued, about 2 min");
  expect(queueText([queued(1)], 42)).toBe("1 queued, about 42 s");
  expect(queueText([processing(1)], null)).toBe("1 generating");
  expect(queueText([queued(1)], 7_300)).toBe("1 queued, about 2 h 2 min");
});

test("unfinished tasks are in the order in which they run", () => {
  const tasks = [queued(5), taskAt(4), processing(3), queued(2), taskAt(1, { status: "failed" })];
  expect(inQueueOrder(tasks).map(({ createdAt }) => createdAt / 1_000)).toEqual([3, 2, 5]);
});

test("last tasks of the models are one for each model", () => {
  const tasks = [queued(5), queued(4, "other"), queued(3), processing(2)];
  expect(lastOfEachModel(tasks).map(({ createdAt }) => createdAt / 1_000)).toEqual([5, 4]);
});

test("page follows more tasks while the oldest ones are unfinished", () => {
  const unfinished = Array.from({ length: 50 }, (_, index) => queued(50 - index));
  expect(liveCount(unfinished, true, 50, 999)).toBe(100);
  expect(liveCount(unfinished, true, 600, 999)).toBe(999);
  expect(liveCount(unfinished, false, 50, 999)).toBe(50);
  expect(liveCount([...unfinished.slice(0, 40), ...Array.from({ length: 10 }, (_, index) => taskAt(10 - index))], true, 50, 999)).toBe(50);
});
