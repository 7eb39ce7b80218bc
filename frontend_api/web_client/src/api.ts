/**
 * The REST API calls of the page. `client/` contains the sources of task updates.
 *
 * Paths are relative to the page, which a proxy may offer below a path of its own.
 */

import type { Model } from "./catalog";
import { readTaskResponse } from "./client/task_response";
import { HttpClient } from "./http_client";
import type { QueueEstimate } from "./queue_poller";
import type { Seed } from "./seeds";
import type { Session } from "./session";
import type { TaskDocument } from "./task_document";
import type { Estimate } from "./form/estimate";

/** The parameters of a task by their names in the API. */
export type Parameters = Readonly<Record<string, unknown>>;

interface TaskResponse {
  readonly queue_position?: number | null;
  readonly eta?: { readonly p50_seconds?: number | null } | null;
  /** Whether a live worker serves the task's model; null: unknown. */
  readonly model_served?: boolean | null;
  readonly parameters?: Parameters & { readonly seed_text?: Seed };
  readonly images?: readonly { readonly index: number; readonly url?: string }[];
}

export class Api {
  readonly #http: HttpClient;

  constructor(private readonly session: () => Session | null) {
    this.#http = new HttpClient(session);
  }

  async models(): Promise<readonly Model[]> {
    const response = await this.#http.send("GET", "v1/models");
    return ((await response.json()) as { models: Model[] }).models;
  }

  /** Submit a task. Return it, and whether a live worker serves its model; null: unknown. */
  async submit(body: string, idempotencyKey: string): Promise<{ task: TaskDocument; served: boolean | null }> {
    const headers = { "idempotency-key": idempotencyKey };
    const response = await this.#http.send("POST", "v1/tasks", { body, headers });
    const answer = (await response.json()) as TaskResponse & Readonly<Record<string, unknown>>;
    return { task: readTaskResponse(answer), served: answer.model_served ?? null };
  }

  /** Return the parameters of a task, as `POST /v1/tasks` takes them. */
  async parametersOf(taskId: string): Promise<Parameters> {
    return submittedParameters((await this.#task(taskId)).parameters ?? {});
  }

  /** Return the estimate of a submission with this body. */
  async estimate(body: string): Promise<Estimate> {
    return (await this.#http.send("POST", "v1/tasks:estimate", { body })).json() as Promise<Estimate>;
  }

  /** Upload a picture that tasks can start from, and return its id. */
  async upload(picture: Blob): Promise<string> {
    const response = await this.#http.send("POST", "v1/inputs", { body: picture });
    return ((await response.json()) as { id: string }).id;
  }

  /** Return the bytes of an uploaded picture. */
  async uploaded(id: string): Promise<Blob> {
    return (await this.#http.send("GET", `v1/inputs/${encodeURIComponent(id)}/content`)).blob();
  }

  async cancel(taskId: string): Promise<void> {
    await this.#http.send("POST", `${taskPath(taskId)}/cancel`);
  }

  async retry(taskId: string): Promise<void> {
    await this.#http.send("POST", `${taskPath(taskId)}/retry`);
  }

  delete(taskId: string): Promise<void> {
    return this.#http.delete(taskPath(taskId));
  }

  async queueEstimate(taskId: string): Promise<QueueEstimate> {
    const task = await this.#task(taskId);
    return {
      position: task.queue_position ?? null,
      seconds: task.eta?.p50_seconds ?? null,
      served: task.model_served ?? null,
    };
  }

  /** Return a task that the list may not contain. */
  async taskDocument(taskId: string): Promise<TaskDocument> {
    const response = await this.#http.send("GET", taskPath(taskId));
    return readTaskResponse((await response.json()) as Record<string, unknown>);
  }

  async seedOf(taskId: string): Promise<Seed | null> {
    return (await this.#task(taskId)).parameters?.seed_text ?? null;
  }

  /**
   * Return a URL for an <img>, which cannot send a token: the API's own URL where no token is needed, else the signed
   * URL of the bucket, else a blob URL with the image's bytes.
   */
  async imageSource(taskId: string, index: number): Promise<string> {
    if (!(await this.session()?.token())) return imagePath(taskId, index);
    const url = (await this.#task(taskId)).images?.find((image) => image.index === index)?.url;
    if (url && new URL(url, location.href).origin !== location.origin) return url;
    return URL.createObjectURL(await this.imageBytes(taskId, index));
  }

  /** Return the absolute URL of an image, for programs without credentials of their own. */
  imageAddress(taskId: string, index: number): string {
    return new URL(imagePath(taskId, index), location.href).href;
  }

  /** Return a URL of a small version for an <img>. */
  async thumbnailSource(taskId: string, index: number): Promise<string> {
    const path = `${imagePath(taskId, index)}/thumbnail`;
    if (!(await this.session()?.token())) return path;
    return URL.createObjectURL(await (await this.#http.send("GET", path)).blob());
  }

  async imageBytes(taskId: string, index: number): Promise<Blob> {
    return (await this.#http.send("GET", imagePath(taskId, index))).blob();
  }

  async #task(taskId: string): Promise<TaskResponse> {
    const response = await this.#http.send("GET", taskPath(taskId));
    return (await response.json()) as TaskResponse;
  }
}

/** Pure. Without fields that the API adds or that have no value; the seed is text, because it may exceed JavaScript's numbers. */
export function submittedParameters({ seed_text: seed, ...parameters }: Parameters): Parameters {
  const hasNoValue = (value: unknown) => value === null || (Array.isArray(value) && value.length === 0);
  const given = Object.entries(parameters).filter(([name, value]) => name !== "guidance" && !hasNoValue(value));
  return { ...Object.fromEntries(given), ...(typeof seed === "string" ? { seed } : {}) };
}

function taskPath(taskId: string): string {
  return `v1/tasks/${encodeURIComponent(taskId)}`;
}

function imagePath(taskId: string, index: number): string {
  return `${taskPath(taskId)}/images/${index}`;
}
