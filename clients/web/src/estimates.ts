/** Estimates of the API for a task: before its submission, and while it waits. */

export interface QueueEstimate {
  /** Number of tasks ahead in the queue. */
  readonly position: number | null;
  /** Median time until the task is finished. */
  readonly seconds: number | null;
  /** Whether a live worker serves the task's model. */
  readonly served: boolean | null;
}

export interface Warning {
  readonly code: string;
  readonly pointer: string;
  readonly detail: string;
  /** The number of tokens of a text of which the model reads only a part. */
  readonly tokens?: number | null;
}

/** Fields of the response of `POST /v1/tasks:estimate`. */
export interface Estimate {
  readonly eta?: { readonly p50_seconds?: number | null } | null;
  readonly price?: number | null;
  readonly currency?: string | null;
  readonly warnings?: readonly Warning[];
}
