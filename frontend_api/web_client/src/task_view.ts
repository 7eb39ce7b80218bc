/** What a task's card says and offers, decided from its document alone. Pure. */

import { duration, shortened } from "./formatting";
import type { Status, TaskDocument } from "./task_document";

export interface TaskView {
  readonly status: Status;
  /** Short and calm: what is happening, or what came of it. */
  readonly headline: string;
  /** Why images are missing; null when none is. */
  readonly explanation: string | null;
  /** "7 / 20" while steps are counted, else null. */
  readonly stepText: string | null;
  /** For assistive technology, in words. */
  readonly progressText: string;
  /** 0 to 1. */
  readonly progress: number;
  /** Work is under way but how far is unknown: the bar breathes. */
  readonly isIndeterminate: boolean;
  readonly isActive: boolean;
  readonly canCancel: boolean;
  readonly isCancelling: boolean;
  readonly canDelete: boolean;
  /** Deleting loses pictures, so it is asked twice. */
  readonly deleteNeedsConfirmation: boolean;
  readonly canDownload: boolean;
  readonly canRetry: boolean;
  /** Said aloud when it changes; null when the change is not worth interrupting for. */
  readonly announcement: string | null;
}

const PHASES: Readonly<Record<string, string>> = {
  waiting: "Getting ready",
  loading_model: "Loading the model",
  encoding_prompt: "Reading the prompt",
  denoising: "Developing",
  decoding: "Bringing out the picture",
  uploading: "Storing the picture",
  done: "Done",
};

export function viewOf(task: TaskDocument): TaskView {
  const isActive = task.status === "queued" || task.status === "processing";
  const isCounting = task.status === "processing" && task.phase === "denoising";
  const headline = headlineOf(task);
  return {
    status: task.status,
    headline,
    explanation: task.status === "failed" ? (task.failure?.message ?? "No reason was given.") : missingNote(task) ?? retryNote(task),
    stepText: isCounting ? `${task.step} / ${task.totalSteps}` : null,
    progressText: isCounting ? `${headline}, step ${task.step} of ${task.totalSteps}` : headline,
    progress: task.status === "completed" ? 1 : task.progress,
    isIndeterminate: task.status === "processing" && !isCounting,
    isActive,
    canCancel: isActive,
    isCancelling: isActive && task.cancelRequested,
    canDelete: !isActive,
    deleteNeedsConfirmation: task.images.length > 0,
    canDownload: task.images.length > 0,
    canRetry: task.status === "failed" || task.status === "cancelled" || isPartial(task),
    announcement: announcementOf(task),
  };
}

/** Whether it completed without all of its images. */
function isPartial(task: TaskDocument): boolean {
  return task.status === "completed" && task.failedImages.length > 0;
}

/** Which images are not coming, by their reasons; people count from one. */
function missingNote(task: TaskDocument): string | null {
  if (task.failedImages.length === 0) return null;
  const numbersOf = new Map<string, number[]>();
  for (const { index, message } of task.failedImages) {
    const reason = message || "No reason was given.";
    numbersOf.set(reason, [...(numbersOf.get(reason) ?? []), index + 1]);
  }
  return [...numbersOf]
    .map(([reason, numbers]) => `${numbers.length > 1 ? "Images" : "Image"} ${numbers.join(", ")} of ${task.imageCount} failed: ${reason}`)
    .join(" ");
}

function headlineOf(task: TaskDocument): string {
  switch (task.status) {
    case "queued":
      return task.attempt > 0 ? "Waiting for another try" : "In the queue";
    case "processing":
      if (task.cancelRequested) return "Stopping";
      return PHASES[task.phase] ?? "Working";
    case "completed":
      return isPartial(task) ? countText(task) : (tookText(task) ?? "Done");
    case "failed":
      return "Could not be drawn";
    case "cancelled":
      return task.images.length > 0 ? `Cancelled, ${countText(task)} kept` : "Cancelled";
  }
}

/** A task that is queued again after a failed attempt says why, so that waiting is understood. */
function retryNote(task: TaskDocument): string | null {
  return task.status === "queued" && task.failure !== null ? task.failure.message : null;
}

function countText(task: TaskDocument): string {
  return `${task.images.length} of ${task.imageCount} pictures`;
}

function tookText(task: TaskDocument): string | null {
  return task.inferenceSeconds === null ? null : `Drawn in ${duration(task.inferenceSeconds)}`;
}

function announcementOf(task: TaskDocument): string | null {
  const about = shortened(task.prompt, 60);
  switch (task.status) {
    case "queued":
      return null;
    case "processing":
      return `Started: ${about}`;
    case "completed":
      return `${task.images.length > 1 ? "Pictures ready" : "Picture ready"}: ${about}`;
    case "failed":
      return `Could not be drawn: ${about}`;
    case "cancelled":
      return `Cancelled: ${about}`;
  }
}
