import { readTaskDocument } from "@darkroom/web";
import { describe, expect, test } from "vitest";

import { type TaskView, columnsFor, viewOf } from "../src/task_view";

const at = (seconds: number) => ({ seconds, nanoseconds: 500_000_000 });

const stored = {
  status: "processing",
  parameters: { prompt: "a red circle", steps: 20, seed: 7, width: 256, height: 128, num_images: 2, sampler: "ddim" },
  created_at: at(100),
  updated_at: at(101),
  finished_at: null,
  attempt: 1,
  cancel_requested_at: null,
  progress: { phase: "denoising", step: 7, steps: 20, value: 0.375 },
  previews: [{ index: 0, step: 7, content_type: "image/jpeg", data: { toUint8Array: () => new Uint8Array([1, 2]) } }],
  images: [],
  failure: null,
  usage: { inference_seconds: null, gpu_seconds: null, wasted_gpu_seconds: 0 },
};

const read = (change: Record<string, unknown> = {}) => readTaskDocument("t1", { ...stored, ...change });
const view = (change: Record<string, unknown> = {}) => viewOf(read(change));

describe("readTaskDocument", () => {
  test("keeps fractions of milliseconds, seeds and bytes", () => {
    const task = read();
    expect(task).toMatchObject({ id: "t1", createdAt: 100_500, seed: "7", imageCount: 2, step: 7, progress: 0.375 });
    expect(task.previews[0]?.data).toEqual(new Uint8Array([1, 2]));
  });

  test("replaces missing and invalid fields by defaults", () => {
    const task = readTaskDocument("t2", { status: "dreaming", previews: [{ data: "text" }, null], progress: { value: 7 } });
    expect(task).toMatchObject({ status: "queued", prompt: "", imageCount: 1, previews: [], progress: 1, seed: null });
    expect(viewOf(task).headline).toBe("Queued");
  });

  test("reads warnings, which older documents do not have", () => {
    const warning = { pointer: "/prompt", detail: "41 tokens, 30 are read." };
    expect(read({ warnings: [warning] }).warnings).toEqual([warning.detail]);
    expect(read().warnings).toEqual([]);
  });
});

const image = { index: 0, seed: 7, content_type: "image/png", sha256: "ab" };
const failure = { code: "worker_lost", message: "The worker was lost.", retryable: true };

describe("viewOf", () => {
  test.each<[string, Record<string, unknown>, Partial<TaskView>]>([
    [
      "counts steps while denoising",
      {},
      { headline: "Generating", stepText: "Step 7 of 20", progressText: "Generating, step 7 of 20", isIndeterminate: false, isActive: true },
    ],
    [
      "is indeterminate in a phase without steps",
      { progress: { phase: "loading_model", step: 0, steps: 20, value: 0 } },
      { headline: "Loading the model", stepText: null, isIndeterminate: true },
    ],
    [
      "counts the furthest image's steps and the finished images",
      {
        images: [{ index: 0 }],
        progress: {
          phase: "denoising", step: 0, steps: 20, value: 0.6,
          images: [{ index: 0, phase: "uploading", step: 20 }, { index: 1, phase: "denoising", step: 4 }],
        },
      },
      { stepText: "1 of 2 done, step 4 of 20", progressText: "Generating, 1 of 2 done, step 4 of 20" },
    ],
    [
      "shows that a claimed task still waits",
      { progress: { phase: "waiting", step: 0, steps: 20, value: 0 } },
      { headline: "Starting", isWaiting: true, isIndeterminate: true },
    ],
    [
      "separates the wait from the generation",
      { status: "completed", finished_at: at(149), usage: { inference_seconds: 37 } },
      { headline: "Done in 37 s (waited 12 s)", isWaiting: false },
    ],
    ["shows an unknown phase as processing", { progress: { phase: "dreaming" } }, { headline: "Processing" }],
    ["shows a requested cancellation", { cancel_requested_at: at(103) }, { headline: "Cancelling", isCancelling: true }],
    ["offers the finished images of a task that is still processing", { images: [image] }, { hasImages: true, isActive: true }],
    [
      "offers the images that a cancelled task kept",
      { status: "cancelled", images: [image] },
      { headline: "Cancelled, 1 of 2 images kept", hasImages: true, isActive: false, canRetry: true },
    ],
    [
      "names the failed image of a completed task and the reason",
      { status: "completed", images: [image], failed_images: [{ index: 1, message: "The safety checker rejected it." }] },
      {
        headline: "1 of 2 images completed",
        explanation: "Image 2 of 2 failed: The safety checker rejected it.",
        hasImages: true,
        canRetry: true,
      },
    ],
    [
      "shows the duration of a completed task",
      { status: "completed", images: [image], usage: { inference_seconds: 4 } },
      { headline: "Done in 4.0 s", progress: 1, isActive: false, hasImages: true, announcement: "Completed: a red circle" },
    ],
    [
      "shows why a task failed, and offers a retry",
      { status: "failed", failure },
      { headline: "Failed", explanation: "The worker was lost.", canRetry: true, hasImages: false },
    ],
    [
      "explains why a task is queued again",
      { status: "queued", failure },
      { headline: "Retrying (2nd attempt)", isWaiting: true, explanation: "The worker was lost." },
    ],
  ])("%s", (_name, change, expected) => {
    expect(view(change)).toMatchObject(expected);
  });
});

test.each([
  [1, 1, 1],
  [2, 1, 1],
  [2, 2, 1],
  [2, 0.5, 2],
  [3, 1, 2],
  [3, 2.5, 1],
  [4, 1, 2],
  [6, 1.2, 2],
  [8, 0.5, 4],
])("%d images of the aspect ratio %d have %d columns", (count, ratio, columns) => {
  expect(columnsFor(count, ratio)).toBe(columns);
});
