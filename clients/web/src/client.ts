/** The calls of the REST API that a page needs. */

import { subscribeToApi } from "./api_tasks.js";
import type { Estimate, QueueEstimate } from "./estimates.js";
import { type Connection, HttpClient, type RequestOptions } from "./http_client.js";
import { newIdempotencyKey } from "./idempotency_key.js";
import type { Model } from "./models.js";
import { type Problem, ProblemError, isNotFound, problemFrom } from "./problems.js";
import type { Seed } from "./seeds.js";
import type { Status, TaskDocument } from "./task_document.js";
import { readTaskResponse } from "./task_response.js";
import type { Subscribe } from "./task_source.js";

/** The maximum of `GET /v1/tasks`. */
const PAGE_SIZE = 100;

/** New values of labels by name; null removes a label. */
export type LabelChange = Readonly<Record<string, string | null>>;

/** How many tasks one call of `cancelMany`, `deleteMany` or `labelMany` may change. */
export const MAX_CHANGED_TASKS = 100;

/** The result of the change of one task. */
export interface ChangeResult {
  readonly id: string;
  /** The changed task; null if it was deleted, or not changed. */
  readonly task: TaskDocument | null;
  /** Why the task was not changed; null if it was. */
  readonly problem: Problem | null;
}

/** A page of a list, newest first. */
export interface TaskPage {
  readonly tasks: readonly TaskDocument[];
  /** The token of the next page; null: this is the last one. */
  readonly nextToken: string | null;
}

/** The parameters of a task by their names in the API. A seed may be text: it may exceed JavaScript's numbers. */
export type Parameters = Readonly<Record<string, unknown>>;

interface ChangeResponse {
  readonly task_id: string;
  readonly status: number;
  readonly task: Readonly<Record<string, unknown>> | null;
  readonly problem: unknown;
  readonly retry_after_seconds: number | null;
}

interface TaskResponse {
  readonly queue_position?: number | null;
  readonly eta?: { readonly p50_seconds?: number | null } | null;
  /** Whether a live worker serves the task's model; null: unknown. */
  readonly model_served?: boolean | null;
  readonly parameters?: Parameters & { readonly seed_text?: Seed };
  readonly images?: readonly { readonly index: number; readonly url?: string }[];
}

export class DarkroomClient {
  readonly #http: HttpClient;

  constructor(connection: Connection = {}) {
    this.#http = new HttpClient(connection);
  }

  /** Subscribe to the caller's newest tasks: the API's source for a TaskFeed. */
  readonly subscribe: Subscribe = (count, listener) => subscribeToApi(this.#http, count, listener);

  async models(): Promise<readonly Model[]> {
    const response = await this.#http.send("GET", "v1/models");
    return ((await response.json()) as { models: Model[] }).models;
  }

  /**
   * Submit a task. Return it, and whether a live worker serves its model; null: unknown.
   *
   * A submission that is repeated after an error creates no second task if it has the same body and key. `replayed` is
   * true if an earlier one had created the task.
   */
  async submit(
    parameters: Parameters | string,
    idempotencyKey = newIdempotencyKey(),
  ): Promise<{ task: TaskDocument; served: boolean | null; replayed: boolean }> {
    const body = bodyOf(parameters);
    const headers = { "idempotency-key": idempotencyKey };
    const response = await this.#http.send("POST", "v1/tasks", { body, headers });
    const answer = (await response.json()) as TaskResponse & Readonly<Record<string, unknown>>;
    const replayed = response.headers.get("idempotency-replayed") === "true";
    return { task: readTaskResponse(answer), served: answer.model_served ?? null, replayed };
  }

  /** Return the parameters of a task, as `POST /v1/tasks` takes them. */
  async parametersOf(taskId: string): Promise<Parameters> {
    return submittedParameters((await this.#task(taskId)).parameters ?? {});
  }

  /** Return the estimate of a submission. */
  async estimate(parameters: Parameters | string): Promise<Estimate> {
    const body = bodyOf(parameters);
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

  cancel(taskId: string): Promise<TaskDocument> {
    return this.#taskOf("POST", `${taskPath(taskId)}/cancel`);
  }

  retry(taskId: string): Promise<TaskDocument> {
    return this.#taskOf("POST", `${taskPath(taskId)}/retry`);
  }

  /** Set labels, and remove labels with the value null. */
  label(taskId: string, labels: LabelChange): Promise<TaskDocument> {
    return this.#taskOf("POST", `${taskPath(taskId)}/labels`, { body: JSON.stringify({ labels }) });
  }

  delete(taskId: string): Promise<void> {
    return this.#http.delete(taskPath(taskId));
  }

  /** Cancel up to a hundred tasks in one call, and return the result of each. */
  cancelMany(taskIds: readonly string[]): Promise<readonly ChangeResult[]> {
    return this.#changeMany("cancel", { task_ids: taskIds });
  }

  /** Set and remove labels of up to a hundred tasks. */
  labelMany(taskIds: readonly string[], labels: LabelChange): Promise<readonly ChangeResult[]> {
    return this.#changeMany("label", { task_ids: taskIds, labels });
  }

  /** Delete up to a hundred tasks. A task that does not exist counts as deleted. */
  async deleteMany(taskIds: readonly string[]): Promise<readonly ChangeResult[]> {
    const results = await this.#changeMany("delete", { task_ids: taskIds });
    return results.map((result) => (result.problem !== null && isNotFound(result.problem) ? { ...result, problem: null } : result));
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
  taskDocument(taskId: string): Promise<TaskDocument> {
    return this.#taskOf("GET", taskPath(taskId));
  }

  /** Return a task; null if it does not exist. */
  async findTask(taskId: string): Promise<TaskDocument | null> {
    return this.taskDocument(taskId).catch((error: unknown) => {
      if (error instanceof ProblemError && isNotFound(error.problem)) return null;
      throw error;
    });
  }

  /** Return a page of the caller's tasks, newest first, selected by the parameters of `GET /v1/tasks`. */
  async listTasks(query: ReadonlyMap<string, string> = new Map(), token: string | null = null): Promise<TaskPage> {
    const parameters = new URLSearchParams([...query, ["page_size", String(PAGE_SIZE)]]);
    if (token !== null) parameters.set("page_token", token);
    const response = await this.#http.send("GET", `v1/tasks?${parameters.toString()}`);
    const page = (await response.json()) as { tasks: Record<string, unknown>[]; next_page_token: string | null };
    return { tasks: page.tasks.map(readTaskResponse), nextToken: page.next_page_token };
  }

  /** Return every task with this status. */
  async allTasksWith(status: Status): Promise<readonly TaskDocument[]> {
    const tasks: TaskDocument[] = [];
    let token: string | null = null;
    do {
      const page = await this.listTasks(new Map([["status", status]]), token);
      tasks.push(...page.tasks);
      token = page.nextToken;
    } while (token !== null);
    return tasks;
  }

  async seedOf(taskId: string): Promise<Seed | null> {
    return (await this.#task(taskId)).parameters?.seed_text ?? null;
  }

  /**
   * Return a URL for an <img>: the API's own URL where an <img> can load it, else the signed URL of the bucket, else a
   * blob URL with the image's bytes. Revoke a blob URL when it is no longer shown.
   */
  async imageSource(taskId: string, index: number): Promise<string> {
    const address = this.imageAddress(taskId, index);
    if (await this.#canEmbed()) return address;
    const url = (await this.#task(taskId)).images?.find((image) => image.index === index)?.url;
    if (url && new URL(url, address).origin !== new URL(address).origin) return url;
    return URL.createObjectURL(await this.imageBytes(taskId, index));
  }

  /** Return the absolute URL of an image, for programs without credentials of their own. */
  imageAddress(taskId: string, index: number): string {
    return this.#absolute(imagePath(taskId, index));
  }

  /** Return a URL of a small version for an <img>, like `imageSource`. */
  thumbnailSource(taskId: string, index: number): Promise<string> {
    return this.#pictureSource(`${imagePath(taskId, index)}/thumbnail`);
  }

  /** Return a URL of a model's example picture for an <img>, like `imageSource`. */
  exampleSource(model: string): Promise<string> {
    return this.#pictureSource(`v1/models/${encodeURIComponent(model)}/example`);
  }

  async imageBytes(taskId: string, index: number): Promise<Blob> {
    return (await this.#http.send("GET", imagePath(taskId, index))).blob();
  }

  async #pictureSource(path: string): Promise<string> {
    if (await this.#canEmbed()) return this.#absolute(path);
    return URL.createObjectURL(await (await this.#http.send("GET", path)).blob());
  }

  /** An <img> sends no token, and the API's images can only be embedded by pages of its own origin. */
  async #canEmbed(): Promise<boolean> {
    return new URL(this.#absolute("")).origin === location.origin && !(await this.#http.token());
  }

  #absolute(path: string): string {
    return new URL(this.#http.urlOf(path), location.href).href;
  }

  async #changeMany(verb: string, body: Readonly<Record<string, unknown>>): Promise<readonly ChangeResult[]> {
    const response = await this.#http.send("POST", `v1/tasks:${verb}`, { body: JSON.stringify(body) });
    return ((await response.json()) as { results: ChangeResponse[] }).results.map(readChange);
  }

  async #taskOf(method: string, path: string, options: RequestOptions = {}): Promise<TaskDocument> {
    const response = await this.#http.send(method, path, options);
    return readTaskResponse((await response.json()) as Record<string, unknown>);
  }

  async #task(taskId: string): Promise<TaskResponse> {
    const response = await this.#http.send("GET", taskPath(taskId));
    return (await response.json()) as TaskResponse;
  }
}

/** Traits of the model that the API adds to a task's parameters. */
const TRAITS = ["guidance", "guidance_off_at"];

/** Pure. Without fields that the API adds or that have no value; the seed is text, because it may exceed JavaScript's numbers. */
export function submittedParameters({ seed_text: seed, ...parameters }: Parameters): Parameters {
  const hasNoValue = (value: unknown) => value === null || (Array.isArray(value) && value.length === 0);
  const given = Object.entries(parameters).filter(([name, value]) => !TRAITS.includes(name) && !hasNoValue(value));
  return { ...Object.fromEntries(given), ...(typeof seed === "string" ? { seed } : {}) };
}

function readChange({ task_id: id, status, task, problem, retry_after_seconds: wait }: ChangeResponse): ChangeResult {
  return {
    id,
    task: task === null ? null : readTaskResponse(task),
    problem: problem === null ? null : problemFrom(status, JSON.stringify(problem), wait === null ? null : String(wait)),
  };
}

function bodyOf(parameters: Parameters | string): string {
  return typeof parameters === "string" ? parameters : JSON.stringify(parameters);
}

function taskPath(taskId: string): string {
  return `v1/tasks/${encodeURIComponent(taskId)}`;
}

function imagePath(taskId: string, index: number): string {
  return `${taskPath(taskId)}/images/${index}`;
}
