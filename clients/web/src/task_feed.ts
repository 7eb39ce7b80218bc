/**
 * The user's newest tasks, from Firestore or, while that is unreachable, from the API's event stream.
 *
 * Firestore is preferred because it costs the API nothing. The feed falls back within about a second, keeps trying
 * Firestore, and returns to it. It retries everything by itself: also after a refusal, which may be a passing one.
 */

import type { TaskDocument } from "./task_document.js";
import type { SourceName, Subscribe, TaskListener, Unsubscribe } from "./task_source.js";

export type FeedState =
  | { readonly kind: "connecting" }
  | { readonly kind: "live"; readonly source: SourceName }
  /** The user may not read the tasks. */
  | { readonly kind: "denied" };

export interface FeedListener {
  onTasks(tasks: readonly TaskDocument[], hasMore: boolean): void;
  onState(state: FeedState): void;
  onDocument?: TaskListener["onDocument"];
}

export interface FeedSources {
  /** Read the configuration and open Firestore, at the start and for each new attempt; missing: only the API is used. */
  readonly openFirestore?: () => Promise<Subscribe>;
  readonly api: Subscribe;
}

const FALLBACK_MILLISECONDS = 1_000;
const FIRST_RETRY_MILLISECONDS = 1_000;
const MAX_RETRY_MILLISECONDS = 30_000;
/** Firestore's SDK reconnects by itself, unless its address has changed. */
const REOPEN_MILLISECONDS = 15_000;
/** How long an inserted task is shown that no source contains. */
const INSERTED_MILLISECONDS = 60_000;

export class TaskFeed {
  readonly #firestore = new Link("firestore", this);
  readonly #api = new Link("api", this);
  readonly #inserted = new Map<string, { readonly task: TaskDocument; readonly until: number }>();
  #tasks: readonly TaskDocument[] = [];
  #hasMore = false;
  #isLoaded = false;
  #fallbackTimer: Timer;
  #count = 0;

  constructor(private readonly sources: FeedSources, readonly listener: FeedListener) {}

  /** Show the newest `count` tasks: at the start, and to change their number. */
  start(count: number): void {
    this.#count = count;
    this.#openFirestore();
    if (this.#api.isOpen) this.#openApi();
    else if (!this.#firestore.isLive) this.#fallBackSoon();
    this.#showState();
  }

  stop(): void {
    this.#count = 0;
    clearTimeout(this.#fallbackTimer);
    this.#fallbackTimer = undefined;
    this.#firestore.close();
    this.#api.close();
    this.#inserted.clear();
    this.#tasks = [];
    this.#isLoaded = false;
  }

  /** Connect again now: after a press of the button, or when the network is back. A connection may be broken without notice. */
  reconnect(): void {
    if (this.#count === 0) return;
    this.#api.close();
    this.#firestore.close();
    this.#showState();
    this.#openFirestore();
    this.#fallBackSoon();
  }

  /** Show a submitted task before any source reports it. */
  insert(task: TaskDocument): void {
    if (this.#tasks.some(({ id }) => id === task.id)) return;
    this.#inserted.set(task.id, { task, until: Date.now() + INSERTED_MILLISECONDS });
    this.#showTasks();
    // A connection that does not report a new task is broken, although it may not know that yet.
    setTimeout(() => { if (this.#inserted.has(task.id)) this.#firestore.suspect(); }, 2 * FALLBACK_MILLISECONDS);
  }

  /** Called by a link with its newest tasks. */
  linkChanged(link: Link, tasks: readonly TaskDocument[], hasMore: boolean): void {
    if (link === this.#api && this.#firestore.isLive) return;
    if (link === this.#firestore && this.#api.isLive && !link.isLive) return;
    this.#tasks = tasks;
    this.#hasMore = hasMore;
    this.#isLoaded = true;
    for (const { id } of tasks) this.#inserted.delete(id);
    this.#showTasks();
  }

  /** Called by a link whose state has changed. */
  linkStateChanged(): void {
    if (this.#firestore.isLive) {
      clearTimeout(this.#fallbackTimer);
      this.#fallbackTimer = undefined;
      this.#api.close();
    } else if (!this.#api.isOpen) this.#fallBackSoon();
    this.#showState();
  }

  #openFirestore(): void {
    const { openFirestore } = this.sources;
    if (openFirestore !== undefined) this.#firestore.open(openFirestore, this.#count);
  }

  #fallBackSoon(): void {
    if (this.sources.openFirestore === undefined) {
      this.#openApi();
      return;
    }
    this.#fallbackTimer ??= setTimeout(() => {
      this.#fallbackTimer = undefined;
      if (!this.#firestore.isLive) this.#openApi();
    }, FALLBACK_MILLISECONDS);
  }

  #openApi(): void {
    clearTimeout(this.#fallbackTimer);
    this.#fallbackTimer = undefined;
    this.#api.open(() => Promise.resolve(this.sources.api), this.#count);
  }

  #showState(): void {
    if (this.#firestore.isLive) this.listener.onState({ kind: "live", source: "firestore" });
    else if (this.#api.isLive) this.listener.onState({ kind: "live", source: "api" });
    else this.listener.onState({ kind: this.#api.isDenied ? "denied" : "connecting" });
  }

  #showTasks(): void {
    const now = Date.now();
    for (const [id, { until }] of this.#inserted) if (until < now) this.#inserted.delete(id);
    const inserted = [...this.#inserted.values()].map(({ task }) => task);
    if (!this.#isLoaded && inserted.length === 0) return;
    const all = [...inserted, ...this.#tasks].sort((a, b) => b.createdAt - a.createdAt);
    this.listener.onTasks(all.slice(0, this.#count), this.#hasMore || all.length > this.#count);
  }
}

type Timer = ReturnType<typeof setTimeout> | undefined;

/** A subscription to one source, which is opened again after each failure. */
class Link {
  isOpen = false;
  isLive = false;
  isDenied = false;
  #unsubscribe: Unsubscribe | null = null;
  #timer: Timer;
  #attempts = 0;
  /** The number of the newest attempt to open the source; results of earlier ones are dropped. */
  #current = 0;

  constructor(private readonly name: SourceName, private readonly feed: TaskFeed) {}

  open(source: () => Promise<Subscribe>, count: number): void {
    this.#end();
    this.isOpen = true;
    const attempt = this.#current;
    const isCurrent = () => attempt === this.#current;
    const retry = (milliseconds: number) => {
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => { this.open(source, count); }, milliseconds);
    };
    const failed = (isDenied: boolean) => {
      if (!isCurrent()) return;
      this.isLive = false;
      this.isDenied = isDenied;
      retry(Math.min(MAX_RETRY_MILLISECONDS, FIRST_RETRY_MILLISECONDS * 2 ** this.#attempts));
      this.#attempts += 1;
      this.feed.linkStateChanged();
    };
    const listener: TaskListener = {
      onChange: (tasks, hasMore) => { if (isCurrent()) this.feed.linkChanged(this, tasks, hasMore); },
      onConnectionChange: (isLive) => {
        if (!isCurrent()) return;
        clearTimeout(this.#timer);
        if (isLive) this.#attempts = 0;
        else if (this.name === "firestore") retry(REOPEN_MILLISECONDS);
        if (isLive) this.isDenied = false;
        this.isLive = isLive;
        this.feed.linkStateChanged();
      },
      onRejected: (_, isDenied) => { failed(isDenied); },
      onDocument: (change, task, receivedAt) => {
        if (isCurrent()) this.feed.listener.onDocument?.(change, task, receivedAt);
      },
    };
    if (this.name === "firestore") retry(REOPEN_MILLISECONDS);
    source().then(
      (subscribe) => { if (isCurrent()) this.#unsubscribe = subscribe(count, listener); },
      () => { failed(false); },
    );
  }

  close(): void {
    this.#end();
    this.isOpen = this.isLive = this.isDenied = false;
    this.#attempts = 0;
  }

  /** Treat the source as lost until it reports its state again. */
  suspect(): void {
    if (!this.isLive) return;
    this.isLive = false;
    this.feed.linkStateChanged();
  }

  #end(): void {
    this.#current += 1;
    clearTimeout(this.#timer);
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }
}
