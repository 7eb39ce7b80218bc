import { afterEach, beforeEach, expect, test, vi } from "vitest";

import { TaskFeed, type FeedState } from "../src/task_feed.js";
import type { Subscribe, TaskListener } from "../src/task_source.js";
import { type TaskDocument, readTaskDocument } from "../src/task_document.js";

/** A source whose subscriptions the test drives. */
class FakeSource {
  readonly subscriptions: { readonly count: number; readonly listener: TaskListener; isOpen: boolean }[] = [];

  readonly subscribe: Subscribe = (count, listener) => {
    const subscription = { count, listener, isOpen: true };
    this.subscriptions.push(subscription);
    return () => { subscription.isOpen = false; };
  };

  get listener(): TaskListener {
    const newest = this.subscriptions.at(-1);
    if (newest === undefined) throw new Error("The source has no subscription.");
    return newest.listener;
  }

  get isOpen(): boolean {
    return this.subscriptions.at(-1)?.isOpen ?? false;
  }

  live(...tasks: readonly TaskDocument[]): void {
    this.listener.onConnectionChange(true);
    this.listener.onChange(tasks, false);
  }
}

function task(id: string, createdAt = 0): TaskDocument {
  return readTaskDocument(id, { created_at: { seconds: createdAt, nanoseconds: 0 }, status: "queued" });
}

let firestore: FakeSource;
let api: FakeSource;
let openings: number;
let states: string[];
let shown: readonly string[];
let feed: TaskFeed;

beforeEach(() => {
  vi.useFakeTimers();
  [firestore, api, openings, states, shown] = [new FakeSource(), new FakeSource(), 0, [], []];
  feed = new TaskFeed(
    {
      openFirestore: () => {
        openings += 1;
        return Promise.resolve(firestore.subscribe);
      },
      api: api.subscribe,
    },
    {
      onState: (state: FeedState) => { states.push(state.kind === "live" ? state.source : state.kind); },
      onTasks: (tasks) => { shown = tasks.map(({ id }) => id); },
    },
  );
});

afterEach(() => {
  feed.stop();
  vi.useRealTimers();
});

async function started(): Promise<void> {
  feed.start(50);
  await vi.advanceTimersByTimeAsync(0);
}

test("a reachable Firestore is the only source", async () => {
  await started();
  firestore.live(task("a"));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(states.at(-1)).toBe("firestore");
  expect(shown).toEqual(["a"]);
  expect(api.subscriptions).toHaveLength(0);
});

test("the API replaces an unreachable Firestore within a second", async () => {
  await started();
  expect(states).toEqual(["connecting"]);
  await vi.advanceTimersByTimeAsync(1_000);
  expect(api.isOpen).toBe(true);
  api.live(task("a"));
  expect(states.at(-1)).toBe("api");
  expect(shown).toEqual(["a"]);
});

test("the feed returns to Firestore and closes the API's stream", async () => {
  await started();
  await vi.advanceTimersByTimeAsync(1_000);
  api.live(task("a"));
  firestore.live(task("b"));
  expect(states.at(-1)).toBe("firestore");
  expect(shown).toEqual(["b"]);
  expect(api.isOpen).toBe(false);
});

test("the API replaces a lost Firestore, whose cached tasks are not shown then", async () => {
  await started();
  firestore.live(task("a"));
  firestore.listener.onConnectionChange(false);
  await vi.advanceTimersByTimeAsync(1_000);
  api.live(task("a"), task("b"));
  firestore.listener.onChange([task("a")], false);
  expect(shown).toEqual(["a", "b"]);
});

test("the configuration is read again while Firestore is unreachable", async () => {
  await started();
  await vi.advanceTimersByTimeAsync(15_000);
  expect(openings).toBe(2);
  firestore.live(task("a"));
  await vi.advanceTimersByTimeAsync(60_000);
  expect(openings).toBe(2);
});

test("the list recovers after Firestore and the API refused it for a while", async () => {
  await started();
  firestore.listener.onRejected("permission-denied", true);
  await vi.advanceTimersByTimeAsync(1_000);
  api.listener.onRejected("forbidden", true);
  expect(states.at(-1)).toBe("denied");
  await vi.advanceTimersByTimeAsync(5_000);
  expect(firestore.subscriptions).toHaveLength(2);
  firestore.live(task("a"));
  expect(states.at(-1)).toBe("firestore");
  expect(shown).toEqual(["a"]);
});

test("reconnect opens Firestore again at once, also one that seems live", async () => {
  await started();
  firestore.live();
  feed.reconnect();
  await vi.advanceTimersByTimeAsync(0);
  expect(states.at(-1)).toBe("connecting");
  expect(openings).toBe(2);
  firestore.live();
  expect(states.at(-1)).toBe("firestore");
  await vi.advanceTimersByTimeAsync(60_000);
  expect(api.subscriptions).toHaveLength(0);
});

test("a submitted task is shown at once, and only once", async () => {
  await started();
  firestore.live(task("old", 1));
  feed.insert(task("new", 2));
  expect(shown).toEqual(["new", "old"]);
  firestore.live(task("new", 2), task("old", 1));
  expect(shown).toEqual(["new", "old"]);
  await vi.advanceTimersByTimeAsync(10_000);
  expect(api.subscriptions).toHaveLength(0);
});

test("the API is used when Firestore does not report a submitted task", async () => {
  await started();
  firestore.live();
  feed.insert(task("new"));
  await vi.advanceTimersByTimeAsync(3_000);
  expect(api.isOpen).toBe(true);
  api.live(task("new"));
  expect(states.at(-1)).toBe("api");
});

test("an inserted task that a source has reported and removed is not shown again", async () => {
  await started();
  firestore.live();
  feed.insert(task("new"));
  firestore.live(task("new"));
  firestore.live();
  expect(shown).toEqual([]);
});

test("a stopped feed does not reconnect", async () => {
  await started();
  feed.stop();
  feed.reconnect();
  await vi.advanceTimersByTimeAsync(60_000);
  expect(openings).toBe(1);
  expect(api.subscriptions).toHaveLength(0);
});

test("a longer list keeps a live Firestore, without the API", async () => {
  await started();
  firestore.live(task("a"));
  feed.start(100);
  await vi.advanceTimersByTimeAsync(5_000);
  expect(states.at(-1)).toBe("firestore");
  expect(api.subscriptions).toHaveLength(0);
});

test("a longer list keeps the source in use", async () => {
  await started();
  await vi.advanceTimersByTimeAsync(1_000);
  api.live(task("a"));
  feed.start(100);
  await vi.advanceTimersByTimeAsync(0);
  expect(api.subscriptions.at(-1)?.count).toBe(100);
  expect(firestore.subscriptions.at(-1)?.count).toBe(100);
});

test("without Firestore the API is used from the start", async () => {
  feed = new TaskFeed({ api: api.subscribe }, feed.listener);
  feed.start(50);
  await vi.advanceTimersByTimeAsync(0);
  api.live(task("a"));
  expect([states.at(-1), shown]).toEqual(["api", ["a"]]);
  feed.reconnect();
  await vi.advanceTimersByTimeAsync(0);
  expect([api.subscriptions.length, api.isOpen]).toEqual([2, true]);
});
