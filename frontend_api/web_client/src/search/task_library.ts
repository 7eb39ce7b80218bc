/**
 * The tasks that the page has loaded, and those of them that the list shows.
 *
 * The newest tasks arrive live from the feed. Older ones are read from the API in pages, from the newest to the oldest,
 * separately for each filter that the API can apply. The list shows the tasks down to the oldest one of these pages:
 * between the shown tasks none is missing. Without DOM access.
 */

import type { TaskDocument, TaskPage } from "@darkroom/web";

import { type TaskFilter, NO_FILTER, apiQuery, hasLocalPart, isEmpty, matcherOf, matchesQuery } from "./task_filter";

export interface LibrarySource {
  /** `GET /v1/tasks` with these parameters. */
  page(query: ReadonlyMap<string, string>, token: string | null): Promise<TaskPage>;
  /** Return a task; null if it does not exist. */
  task(id: string): Promise<TaskDocument | null>;
}

export interface LibraryView {
  readonly filter: TaskFilter;
  /** The selected tasks, newest first. */
  readonly tasks: readonly TaskDocument[];
  /** Whether older tasks are not loaded yet. */
  readonly hasMore: boolean;
  readonly isLoading: boolean;
  /** Why older tasks could not be loaded. */
  readonly error: unknown;
  /** Number of tasks whose prompt was compared. */
  readonly searchedCount: number;
}

/** How far the older tasks are loaded for one filter of the API. */
interface Cursor {
  /** The first page begins before this time. */
  before: string | null;
  token: string | null;
  /** The time of the oldest loaded task; null: nothing is loaded. */
  reached: number | null;
}

/** Pages that one call loads at most, while a search finds little. */
const MAX_PAGES_PER_LOAD = 3;
const ENOUGH_FOUND = 50;
const REFRESH_MILLISECONDS = 3_000;
const MAX_REFRESHED = 10;

export class TaskLibrary {
  #filter = NO_FILTER;
  #live: readonly TaskDocument[] = [];
  #hasOlder = false;
  /** Whether the feed has reported its tasks. */
  #isStarted = false;
  /** The time down to which the feed has reported all tasks. */
  #liveReached = Infinity;
  readonly #older = new Map<string, TaskDocument>();
  /** Older tasks that may have been deleted before they left the feed. */
  readonly #uncertain = new Set<string>();
  readonly #cursors = new Map<string, Cursor>();
  /** The load in progress. Results of earlier ones are dropped. */
  #load: object | null = null;
  #error: unknown = null;
  #refreshTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly source: LibrarySource, private readonly onChange: (view: LibraryView) => void) {}

  get filter(): TaskFilter {
    return this.#filter;
  }

  /** Every loaded task, newest first. */
  get loaded(): readonly TaskDocument[] {
    const live = new Set(this.#live.map(({ id }) => id));
    return [...this.#live, ...[...this.#older.values()].filter(({ id }) => !live.has(id))].sort((a, b) => b.createdAt - a.createdAt);
  }

  /** Take the newest tasks from the feed. */
  showLive(tasks: readonly TaskDocument[], hasOlder: boolean): void {
    const [newestBefore, oldest] = [this.#live[0], tasks.at(-1)];
    if (hasOlder && oldest !== undefined) {
      // So many new tasks have arrived at once that those before them are missing.
      if (newestBefore !== undefined && newestBefore.createdAt < oldest.createdAt) this.#forget();
      // New tasks displace others, which are older than the remaining ones. Some of these may have been deleted, too.
      else for (const task of this.#live.filter(({ createdAt }) => createdAt < oldest.createdAt)) {
        this.#older.set(task.id, task);
        this.#uncertain.add(task.id);
      }
    }
    this.#liveReached = Math.min(this.#liveReached, oldest?.createdAt ?? Infinity);
    for (const { id } of tasks) this.#older.delete(id);
    this.#live = tasks;
    this.#hasOlder = hasOlder;
    this.#isStarted = true;
    this.#report();
  }

  setFilter(filter: TaskFilter): void {
    this.#filter = filter;
    this.#load = null;
    this.#error = null;
    this.#report();
    if (!isEmpty(filter) && this.#shown.length < ENOUGH_FOUND) void this.loadMore();
  }

  /** Load older tasks: one page, or a few while a search finds little. */
  async loadMore(): Promise<void> {
    if (this.#load !== null || !this.#hasMore) return;
    const load = {};
    this.#load = load;
    this.#error = null;
    this.#report();
    const found = this.#shown.length;
    try {
      for (let pages = 0; pages < MAX_PAGES_PER_LOAD; pages += 1) {
        const [filter, cursor] = [this.#filter, this.#cursor];
        const query = this.#queryOf(filter, cursor);
        const page = await this.source.page(query, cursor.token);
        if (this.#load !== load) return;
        this.#add(page, cursor, query);
        if (page.nextToken === null || !hasLocalPart(filter) || this.#shown.length - found >= ENOUGH_FOUND) break;
      }
    } catch (error) {
      if (this.#load !== load) return;
      this.#error = error;
    }
    this.#load = null;
    this.#report();
  }

  /** Take tasks as the API has returned them. Those of the feed change through the feed. */
  put(tasks: readonly TaskDocument[]): void {
    const older = tasks.filter(({ id }) => this.#older.has(id));
    for (const task of older) this.#older.set(task.id, task);
    if (older.length > 0) this.#report();
  }

  /** Remove deleted tasks. Those of the feed are removed by the feed. */
  remove(ids: readonly string[]): void {
    if (ids.filter((id) => this.#older.delete(id)).length > 0) this.#report();
  }

  #forget(): void {
    this.#liveReached = Infinity;
    this.#older.clear();
    this.#uncertain.clear();
    this.#cursors.clear();
    this.#load = null;
    this.#error = null;
    clearTimeout(this.#refreshTimer);
    this.#refreshTimer = undefined;
  }

  get #cursor(): Cursor {
    const key = JSON.stringify([...apiQuery(this.#filter)]);
    const cursor = this.#cursors.get(key) ?? { before: null, token: null, reached: null };
    this.#cursors.set(key, cursor);
    return cursor;
  }

  get #hasMore(): boolean {
    return this.#hasOlder && this.#cursor.reached !== -Infinity;
  }

  /** The time down to which no task of the filter is missing. */
  get #reached(): number {
    if (!this.#hasOlder) return -Infinity;
    return Math.min(this.#cursor.reached ?? Infinity, this.#liveReached);
  }

  get #complete(): readonly TaskDocument[] {
    const reached = this.#reached;
    return this.loaded.filter((task) => task.createdAt >= reached && matchesQuery(this.#filter, task));
  }

  get #shown(): readonly TaskDocument[] {
    return this.#complete.filter(matcherOf(this.#filter));
  }

  /** Begin at the oldest task of the feed, and not after it: tasks that were submitted together have the same time. */
  #queryOf(filter: TaskFilter, cursor: Cursor): ReadonlyMap<string, string> {
    const query = new Map(apiQuery(filter));
    if (cursor.token === null && this.#liveReached < Infinity) cursor.before = new Date(Math.ceil(this.#liveReached) + 1).toISOString();
    const before = query.get("created_before");
    if (cursor.before !== null && (before === undefined || cursor.before < before)) query.set("created_before", cursor.before);
    return query;
  }

  #add(page: TaskPage, cursor: Cursor, query: ReadonlyMap<string, string>): void {
    const start = cursor.reached ?? Date.parse(query.get("created_before") ?? "");
    const reached = page.nextToken === null ? -Infinity : (page.tasks.at(-1)?.createdAt ?? cursor.reached);
    // Without another condition, the page has all tasks between its first and its last one: others were deleted.
    if ([...query.keys()].join() === "created_before")
      for (const { id, createdAt } of this.#older.values()) if (createdAt < start && createdAt > (reached ?? start)) this.#older.delete(id);
    const live = new Set(this.#live.map(({ id }) => id));
    for (const task of page.tasks) if (!live.has(task.id)) this.#older.set(task.id, task);
    cursor.token = page.nextToken;
    cursor.reached = reached;
  }

  #report(): void {
    if (!this.#isStarted) return;
    const complete = this.#complete;
    const tasks = complete.filter(matcherOf(this.#filter));
    this.onChange({
      filter: this.#filter,
      tasks,
      hasMore: this.#hasMore,
      isLoading: this.#load !== null,
      error: this.#error,
      searchedCount: complete.length,
    });
    this.#refreshLater(tasks);
  }

  /** Read older tasks again, which the feed does not contain: the uncertain ones once, the unfinished ones from time to time. */
  #refreshLater(tasks: readonly TaskDocument[]): void {
    const older = tasks.filter(({ id }) => this.#older.has(id));
    const uncertain = older.filter(({ id }) => this.#uncertain.has(id));
    const unfinished = older.filter(({ status }) => status === "queued" || status === "processing");
    const refreshed = [...new Set([...uncertain, ...unfinished])].slice(0, MAX_REFRESHED);
    if (refreshed.length === 0 || this.#refreshTimer !== undefined) return;
    this.#refreshTimer = setTimeout(() => {
      void Promise.all(refreshed.map(({ id }) => this.#refresh(id))).finally(() => {
        this.#refreshTimer = undefined;
        this.#report();
      });
    }, REFRESH_MILLISECONDS);
  }

  async #refresh(id: string): Promise<void> {
    try {
      const task = await this.source.task(id);
      this.#uncertain.delete(id);
      if (!this.#older.has(id)) return;
      if (task === null) this.#older.delete(id);
      else this.#older.set(id, task);
    } catch {
      // The next round reads it again.
    }
  }
}
