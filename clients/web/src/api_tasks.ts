/** The user's tasks from the event stream of the REST API, newest task first. */

import type { HttpClient } from "./http_client.js";
import { ProblemError } from "./problems.js";
import type { TaskDocument } from "./task_document.js";
import { type ServerSentEvent, readEvents } from "./event_stream.js";
import { type PreviewLink, previewLinksOf, readTaskResponse } from "./task_response.js";
import type { TaskListener, Unsubscribe } from "./task_source.js";

const FIRST_RETRY_MILLISECONDS = 250;
const MAX_RETRY_MILLISECONDS = 8_000;
/** The API sends a comment at least every 15 s by default. */
const MAX_SILENCE_MILLISECONDS = 45_000;
const DENIED_STATUSES: readonly number[] = [401, 403];

/** Subscribe to the newest `count` tasks. The stream is opened again when it ends. */
export function subscribeToApi(http: HttpClient, count: number, listener: TaskListener): Unsubscribe {
  const subscription = new ApiSubscription(http, count, listener);
  void subscription.run();
  return () => { subscription.stop(); };
}

class ApiSubscription {
  #tasks = new Map<string, TaskDocument>();
  /** The tasks of a stream that has not sent all of them yet. */
  #incoming: Map<string, TaskDocument> | null = null;
  #isStopped = false;
  #retries = 0;
  #abort = new AbortController();
  #silenceTimer: ReturnType<typeof setTimeout> | undefined;
  #retryNow: (() => void) | null = null;

  constructor(
    private readonly http: HttpClient,
    private readonly count: number,
    private readonly listener: TaskListener,
  ) {}

  async run(): Promise<void> {
    while (!this.#hasStopped()) {
      try {
        await this.#stream();
      } catch (error) {
        if (this.#hasStopped()) return;
        if (error instanceof ProblemError && DENIED_STATUSES.includes(error.problem.status)) {
          this.stop();
          this.listener.onRejected(error.problem.code, true);
          return;
        }
      }
      if (this.#hasStopped()) return;
      this.listener.onConnectionChange(false);
      await this.#pause();
    }
  }

  #hasStopped(): boolean {
    return this.#isStopped;
  }

  stop(): void {
    this.#isStopped = true;
    clearTimeout(this.#silenceTimer);
    this.#abort.abort();
    this.#retryNow?.();
  }

  async #stream(): Promise<void> {
    this.#abort = new AbortController();
    this.#incoming = new Map();
    this.#watchForSilence();
    const headers = { accept: "text/event-stream" };
    const { signal } = this.#abort;
    // One more task than is shown, to know whether there are more.
    const path = `v1/tasks:events?count=${this.count + 1}`;
    const response = await this.http.send("GET", path, { headers, signal });
    if (response.body === null) return;
    await readEvents(response.body, (event) => { this.#receive(event); }, () => { this.#watchForSilence(); });
  }

  #receive({ event, data }: ServerSentEvent): void {
    if (this.#isStopped) return;
    const tasks = this.#incoming ?? this.#tasks;
    if (event === "task") this.#put(tasks, JSON.parse(data) as Record<string, unknown>);
    else if (event === "removed") this.#remove(tasks, (JSON.parse(data) as { id: string }).id);
    else if (event === "complete" && this.#incoming !== null) {
      this.#tasks = this.#incoming;
      this.#incoming = null;
      this.#retries = 0;
      this.listener.onConnectionChange(true);
    }
    this.#report();
  }

  #put(tasks: Map<string, TaskDocument>, fields: Record<string, unknown>): void {
    const read = readTaskResponse(fields);
    const links = previewLinksOf(fields);
    const known = tasks.get(read.id) ?? this.#tasks.get(read.id);
    const loaded = known?.previews.filter(({ index }) => links.some((link) => link.index === index)) ?? [];
    const task = { ...read, previews: loaded };
    tasks.set(task.id, task);
    this.listener.onDocument?.(known === undefined ? "added" : "modified", task, Date.now());
    for (const link of links) {
      if (!loaded.some(({ index, step }) => index === link.index && step === link.step)) void this.#loadPreview(task.id, link);
    }
  }

  #remove(tasks: Map<string, TaskDocument>, id: string): void {
    const task = tasks.get(id);
    if (task === undefined) return;
    tasks.delete(id);
    this.listener.onDocument?.("removed", task, Date.now());
  }

  /** The URL returns the newest preview; an image that finishes meanwhile has none. */
  async #loadPreview(taskId: string, { index, step }: PreviewLink): Promise<void> {
    const path = `v1/tasks/${encodeURIComponent(taskId)}/previews/${index}`;
    const response = await this.http.send("GET", path, { signal: this.#abort.signal }).catch(() => null);
    const data = response === null ? null : new Uint8Array(await response.arrayBuffer());
    const tasks = this.#incoming?.has(taskId) ? this.#incoming : this.#tasks;
    const task = tasks.get(taskId);
    if (this.#isStopped || data === null || task?.status !== "processing") return;
    const contentType = response?.headers.get("content-type") ?? "image/jpeg";
    const others = task.previews.filter((preview) => preview.index !== index);
    tasks.set(taskId, { ...task, previews: [...others, { index, step, contentType, data }] });
    this.#report();
  }

  #report(): void {
    if (this.#incoming !== null) return;
    const newest = [...this.#tasks.values()].sort((a, b) => b.createdAt - a.createdAt);
    this.listener.onChange(newest.slice(0, this.count), newest.length > this.count);
  }

  #watchForSilence(): void {
    clearTimeout(this.#silenceTimer);
    this.#silenceTimer = setTimeout(() => { this.#abort.abort(); }, MAX_SILENCE_MILLISECONDS);
  }

  #pause(): Promise<void> {
    const milliseconds = Math.min(MAX_RETRY_MILLISECONDS, FIRST_RETRY_MILLISECONDS * 2 ** this.#retries);
    this.#retries += 1;
    return new Promise((resolve) => {
      this.#retryNow = resolve;
      setTimeout(resolve, milliseconds);
    });
  }
}
