import { describe, expect, test } from "vitest";

import { readTaskDocument } from "../src/task_document";
import { viewOf } from "../src/task_view";

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
    const warning = { code: "prompt_truncated", pointer: "/prompt", detail: "41 tokens, 30 are read." };
    expect(read({ warnings: [warning] }).warnings).toEqual([{ code: warning.code, detail: warning.detail }]);
    expect(read().warnings).toEqual([]);
  });
});

describe("viewOf", () => {
  test("counts steps while denoising", () => {
    expect(view()).toMatchObject({
      headline: "Generating",
      stepText: "7 / 20",
      progressText: "Generating, step 7 of 20",
      isIndeterminate: false,
      canCancel: true,
      canDelete: false,
    });
  });

  test("is indeterminate in a phase without steps", () => {
    expect(view({ progress: { phase: "loading_model", step: 0, steps: 20, value: 0 } })).toMatchObject({
      headline: "Loading the model",
      stepText: null,
      isIndeterminate: true,
    });
  });

  test("shows an unknown phase as processing", () => {
    expect(view({ progress: { phase: "dreaming", step: 0, steps: 20, value: 0 } }).headline).toBe("Processing");
  });

  test("shows a requested cancellation", () => {
    expect(view({ cancel_requested_at: at(103) })).toMatchObject({ headline: "Cancelling", isCancelling: true });
  });

  test("offers the finished images of a task that is still processing", () => {
    const images = [{ index: 1, seed: 8, width: 256, height: 128, content_type: "image/png", sha256: "ab" }];
    expect(view({ images })).toMatchObject({ canDownload: true, canCancel: true, canDelete: false });
    expect(view({ status: "cancelled", images })).toMatchObject({
      headline: "Cancelled, 1 of 2 images kept",
      canDownload: true,
      canRetry: true,
      deleteNeedsConfirmation: true,
    });
  });

  test("names the failed image of a completed task and the reason", () => {
    const images = [{ index: 0, seed: 7, width: 256, height: 128, content_type: "image/png", sha256: "ab" }];
    const failed_images = [{ index: 1, code: "content_filtered", message: "The safety checker refused it." }];
    expect(view({ status: "completed", images, failed_images })).toMatchObject({
      headline: "1 of 2 images completed",
      explanation: "Image 2 of 2 failed: The safety checker refused it.",
      canDownload: true,
      canRetry: true,
    });
  });

  test("shows the duration and the actions of a completed task", () => {
    const images = [{ index: 0, seed: 7, width: 256, height: 128, content_type: "image/png", sha256: "ab" }];
    const usage = { inference_seconds: 4, gpu_seconds: 3.5, wasted_gpu_seconds: 60 };
    expect(view({ status: "completed", finished_at: at(206), images, usage })).toMatchObject({
      headline: "Completed in 4.0 s",
      progress: 1,
      canDownload: true,
      canDelete: true,
      deleteNeedsConfirmation: true,
      announcement: "Completed: a red circle",
    });
  });

  test("shows why a task failed, and offers a retry", () => {
    const failure = { code: "out_of_memory", message: "Too large for this GPU.", retryable: false };
    expect(view({ status: "failed", failure })).toMatchObject({
      explanation: "Too large for this GPU.",
      canRetry: true,
      deleteNeedsConfirmation: false,
    });
  });

  test("explains why a task is queued again", () => {
    const failure = { code: "worker_lost", message: "The worker was lost.", retryable: true };
    expect(view({ status: "queued", failure })).toMatchObject({
      headline: "Queued for another attempt",
      explanation: "The worker was lost.",
    });
  });
});
