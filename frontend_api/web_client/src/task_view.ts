/** The texts and buttons of a task's card. Pure. */

import type { Status, TaskDocument } from "@darkroom/web";

import { duration, ordinal, shortened } from "./formatting";

export interface TaskView {
  readonly status: Status;
  /** The status or the current phase. */
  readonly headline: string;
  /** Why images are missing or the task waits again; null if there is nothing to explain. */
  readonly explanation: string | null;
  /** "Step 7 of 20" during the denoising steps, with several images also how many are done; else null. */
  readonly stepText: string | null;
  /** The progress in words, for assistive technology. */
  readonly progressText: string;
  /** 0 to 1. */
  readonly progress: number;
  /** The task is processing, but its progress is unknown. */
  readonly isIndeterminate: boolean;
  /** No step has begun: the queue position and the remaining time matter. */
  readonly isWaiting: boolean;
  /** Queued or processing: the task can be cancelled, but not deleted. */
  readonly isActive: boolean;
  readonly isCancelling: boolean;
  /** The task has images to download, and its deletion needs a confirmation. */
  readonly hasImages: boolean;
  readonly canRetry: boolean;
  /** Announced to assistive technology when it changes; null: no announcement. */
  readonly announcement: string | null;
}

const PHASES: Readonly<Record<string, string>> = {
  waiting: "Starting",
  loading_model: "Loading the model",
  encoding_prompt: "Preparing prompt",
  denoising: "Generating",
  decoding: "Finishing",
  uploading: "Saving",
  done: "Done",
};
const UNKNOWN_REASON = "The reason is unknown.";

export function viewOf(task: TaskDocument): TaskView {
  const isActive = task.status === "queued" || task.status === "processing";
  const isCounting = task.status === "processing" && task.phase === "denoising";
  const headline = headlineOf(task);
  const stepText = isCounting ? stepTextOf(task) : null;
  return {
    status: task.status,
    headline,
    explanation: explanationOf(task),
    stepText,
    progressText: stepText === null ? headline : `${headline}, ${stepText.toLowerCase()}`,
    progress: task.status === "completed" ? 1 : task.progress,
    isWaiting: task.status === "queued" || isHeldButWaiting(task),
    isIndeterminate: task.status === "processing" && !isCounting,
    isActive,
    isCancelling: isActive && task.cancelRequested,
    hasImages: task.images.length > 0,
    canRetry: task.status === "failed" || task.status === "cancelled" || isPartial(task),
    announcement: announcementOf(task),
  };
}

/** The step of the image that is furthest in its steps: others may wait for it. */
function stepTextOf(task: TaskDocument): string {
  const counting = task.imageProgress.filter(({ phase }) => phase === "denoising").map(({ step }) => step);
  const step = `Step ${counting.length > 0 ? Math.max(...counting) : task.step} of ${task.totalSteps}`;
  const isOne = task.imageCount === 1 || task.imageProgress.length === 0;
  return isOne ? step : `${task.images.length} of ${task.imageCount} done, ${step.toLowerCase()}`;
}

/** A worker holds the task, and has not started with it. */
function isHeldButWaiting({ status, phase, cancelRequested }: TaskDocument): boolean {
  return status === "processing" && phase === "waiting" && !cancelRequested;
}

/** Whether a completed task has failed images. */
function isPartial(task: TaskDocument): boolean {
  return task.status === "completed" && task.failedImages.length > 0;
}

function headlineOf(task: TaskDocument): string {
  switch (task.status) {
    case "queued":
      return task.attempt > 0 ? `Retrying (${ordinal(task.attempt + 1)} attempt)` : "Queued";
    case "processing":
      return task.cancelRequested ? "Cancelling" : (PHASES[task.phase] ?? "Processing");
    case "completed":
      if (isPartial(task)) return `${imageCount(task)} completed`;
      return doneText(task);
    case "failed":
      return "Failed";
    case "cancelled":
      return task.images.length > 0 ? `Cancelled, ${imageCount(task)} kept` : "Cancelled";
  }
}

/** "Done in 37 s (waited 12 s)". The wait of a task with several attempts is not known. */
function doneText({ inferenceSeconds, finishedAt, createdAt, attempt }: TaskDocument): string {
  if (inferenceSeconds === null) return "Done";
  const waited = finishedAt === null || attempt !== 1 ? 0 : (finishedAt - createdAt) / 1_000 - inferenceSeconds;
  return `Done in ${duration(inferenceSeconds)}${waited < 1 ? "" : ` (waited ${duration(waited)})`}`;
}

function explanationOf(task: TaskDocument): string | null {
  if (task.status === "failed") return task.failure ?? UNKNOWN_REASON;
  if (task.failedImages.length > 0) return failedImagesText(task);
  // The failure of the last attempt, until the next attempt starts.
  return task.status === "queued" ? task.failure : null;
}

/** List the failed images by reason. Images are counted from 1. */
function failedImagesText(task: TaskDocument): string {
  const numbersByReason = new Map<string, number[]>();
  for (const { index, message } of task.failedImages) {
    const reason = message || UNKNOWN_REASON;
    numbersByReason.set(reason, [...(numbersByReason.get(reason) ?? []), index + 1]);
  }
  return [...numbersByReason]
    .map(([reason, numbers]) => `${numbers.length > 1 ? "Images" : "Image"} ${numbers.join(", ")} of ${task.imageCount} failed: ${reason}`)
    .join(" ");
}

function imageCount(task: TaskDocument): string {
  return `${task.images.length} of ${task.imageCount} images`;
}

function announcementOf(task: TaskDocument): string | null {
  if (task.status === "queued") return null;
  const events = { processing: "Started", completed: "Completed", failed: "Failed", cancelled: "Cancelled" };
  return `${events[task.status]}: ${shortened(task.prompt, 60)}`;
}

/** The number of columns in which so many images of one aspect ratio (width / height) form the most square area. */
export function columnsFor(count: number, ratio: number): number {
  const distances = Array.from({ length: count }, (_, index) => {
    const columns = index + 1;
    const rows = Math.ceil(count / columns);
    // An empty place is worse than an area that is not square.
    return Math.abs(Math.log((columns * ratio) / rows)) + (columns * rows - count);
  });
  return distances.indexOf(Math.min(...distances)) + 1;
}
