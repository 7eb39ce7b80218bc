/**
 * A Firestore document `tasks/{id}`, parsed. Pure: it does not import the Firestore SDK.
 *
 * Unknown fields are ignored and missing or invalid ones get a default, so that one invalid document does not break the
 * list.
 */

import { exactSeed, type Seed } from "./seeds.js";

const STATUSES = ["queued", "processing", "completed", "failed", "cancelled"] as const;
export type Status = (typeof STATUSES)[number];

export interface Preview {
  readonly index: number;
  readonly step: number;
  readonly contentType: string;
  readonly data: Uint8Array;
}

export interface StoredImage {
  readonly index: number;
  readonly seed: Seed | null;
  readonly contentType: string;
  readonly sha256: string;
}

/** The progress of one image. */
export interface ImageProgress {
  readonly index: number;
  readonly phase: string;
  readonly step: number;
}

export interface TaskDocument {
  readonly id: string;
  readonly status: Status;
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly promptSyntax: string;
  readonly model: string;
  readonly steps: number;
  /** Null if the scale has no effect on the model. */
  readonly guidanceScale: number | null;
  /** Null if the number is too large for JavaScript; the REST API returns it exactly. */
  readonly seed: Seed | null;
  readonly sampler: string;
  readonly width: number;
  readonly height: number;
  readonly imageCount: number;
  readonly outputFormat: string;
  /** Null: the usual quality of the format. */
  readonly outputQuality: number | null;
  readonly metadata: string;
  /** The ids of the pictures that the task starts from; null: none. */
  readonly image: string | null;
  readonly maskImage: string | null;
  readonly strength: number | null;
  readonly controlImage: string | null;
  readonly controlnet: string | null;
  readonly controlScale: number | null;
  readonly referenceImage: string | null;
  readonly ipAdapter: string | null;
  readonly referenceScale: number | null;
  readonly loras: readonly { readonly name: string; readonly scale: number }[];
  readonly labels: Readonly<Record<string, string>>;
  readonly createdAt: number;
  readonly updatedAt: number;
  readonly finishedAt: number | null;
  /** Inference time of the successful attempt. */
  readonly inferenceSeconds: number | null;
  readonly attempt: number;
  readonly cancelRequested: boolean;
  readonly phase: string;
  readonly step: number;
  readonly totalSteps: number;
  /** 0 to 1, the mean of all images. */
  readonly progress: number;
  /** Empty unless a worker holds the task, and in documents of older versions. */
  readonly imageProgress: readonly ImageProgress[];
  readonly previews: readonly Preview[];
  /** The finished images, also of a task that is processing or cancelled. */
  readonly images: readonly StoredImage[];
  /** The details of the warnings. */
  readonly warnings: readonly string[];
  readonly failedImages: readonly { readonly index: number; readonly message: string }[];
  /** The message of the last attempt's failure. */
  readonly failure: string | null;
}

type Fields = Readonly<Record<string, unknown>>;

export function readTaskDocument(id: string, data: Fields): TaskDocument {
  const parameters = record(data.parameters);
  const progress = record(data.progress);
  const usage = record(data.usage);
  const steps = number(parameters.steps, 1);
  const totalSteps = Math.max(1, number(progress.steps, steps) || steps);
  const step = Math.min(number(progress.step, 0), totalSteps);
  return {
    id,
    status: statusOf(data.status),
    prompt: string(parameters.prompt),
    negativePrompt: string(parameters.negative_prompt),
    promptSyntax: string(parameters.prompt_syntax) || "plain",
    model: string(parameters.model) || string(data.model),
    steps,
    guidanceScale: parameters.guidance === "none" ? null : number(parameters.guidance_scale, 0),
    seed: string(parameters.seed_text) || exactSeed(parameters.seed),
    sampler: string(parameters.sampler),
    width: number(parameters.width, 1),
    height: number(parameters.height, 1),
    imageCount: Math.max(1, number(parameters.num_images, 1)),
    outputFormat: string(parameters.output_format),
    outputQuality: typeof parameters.output_quality === "number" ? parameters.output_quality : null,
    metadata: string(parameters.metadata) || "full",
    image: string(parameters.image) || null,
    maskImage: string(parameters.mask_image) || null,
    loras: list(parameters.loras).map(readLora),
    controlImage: string(parameters.control_image) || null,
    controlnet: string(parameters.controlnet) || null,
    controlScale: typeof parameters.control_scale === "number" ? parameters.control_scale : null,
    referenceImage: string(parameters.reference_image) || null,
    ipAdapter: string(parameters.ip_adapter) || null,
    referenceScale: typeof parameters.reference_scale === "number" ? parameters.reference_scale : null,
    strength: typeof parameters.strength === "number" ? parameters.strength : null,
    labels: texts(data.labels),
    createdAt: milliseconds(data.created_at) ?? 0,
    updatedAt: milliseconds(data.updated_at) ?? 0,
    finishedAt: milliseconds(data.finished_at),
    inferenceSeconds: typeof usage.inference_seconds === "number" ? usage.inference_seconds : null,
    attempt: number(data.attempt, 0),
    cancelRequested: milliseconds(data.cancel_requested_at) !== null,
    phase: string(progress.phase) || "waiting",
    step,
    totalSteps,
    progress: Math.min(1, Math.max(0, number(progress.value, step / totalSteps))),
    imageProgress: list(progress.images).map(readImageProgress),
    previews: list(data.previews).flatMap(readPreview),
    images: list(data.images).map(readImage),
    warnings: list(data.warnings).map((warning) => string(record(warning).detail)),
    failedImages: list(data.failed_images).map(readFailedImage),
    failure: data.failure ? string(record(data.failure).message) : null,
  };
}

function readPreview(value: unknown): Preview[] {
  const fields = record(value);
  const data = bytes(fields.data);
  if (data === null) return [];
  return [
    {
      index: number(fields.index, 0),
      step: number(fields.step, 0),
      contentType: string(fields.content_type) || "image/jpeg",
      data,
    },
  ];
}

function readImageProgress(value: unknown, position: number): ImageProgress {
  const fields = record(value);
  return { index: number(fields.index, position), phase: string(fields.phase) || "waiting", step: number(fields.step, 0) };
}

function readImage(value: unknown, position: number): StoredImage {
  const fields = record(value);
  return {
    index: number(fields.index, position),
    seed: string(fields.seed_text) || exactSeed(fields.seed),
    contentType: string(fields.content_type) || "image/png",
    sha256: string(fields.sha256),
  };
}

function readLora(value: unknown): TaskDocument["loras"][number] {
  const fields = record(value);
  return { name: string(fields.name), scale: number(fields.scale, 1) };
}

function readFailedImage(value: unknown, position: number): TaskDocument["failedImages"][number] {
  const fields = record(value);
  return { index: number(fields.index, position), message: string(fields.message) };
}

function statusOf(value: unknown): Status {
  return STATUSES.find((status) => status === value) ?? "queued";
}

/** Convert a Firestore Timestamp, or a time of the REST API, to milliseconds since the epoch, with fractions. */
function milliseconds(value: unknown): number | null {
  if (typeof value === "string") return parsedTime(value);
  const { seconds, nanoseconds } = record(value);
  if (typeof seconds !== "number") return null;
  return seconds * 1_000 + number(nanoseconds, 0) / 1e6;
}

/** Parse an ISO time. It has microseconds, of which Date drops three digits. */
function parsedTime(text: string): number | null {
  const parsed = Date.parse(text);
  if (Number.isNaN(parsed)) return null;
  const microseconds = /\.\d{3}(\d{3})/.exec(text)?.[1] ?? "0";
  return parsed + Number(microseconds) / 1_000;
}

/** Convert a Firestore `Bytes` value. */
function bytes(value: unknown): Uint8Array | null {
  if (value instanceof Uint8Array) return value;
  const convertible = record(value) as { toUint8Array?: () => Uint8Array };
  return typeof convertible.toUint8Array === "function" ? convertible.toUint8Array() : null;
}

function record(value: unknown): Fields {
  return typeof value === "object" && value !== null ? (value as Fields) : {};
}

function list(value: unknown): readonly unknown[] {
  return Array.isArray(value) ? value : [];
}

function texts(value: unknown): Readonly<Record<string, string>> {
  const entries = Object.entries(record(value)).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return Object.fromEntries(entries);
}

function string(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function number(value: unknown, fallback: number): number {
  return typeof value === "number" && Number.isFinite(value) ? value : fallback;
}
