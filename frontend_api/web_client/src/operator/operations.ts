/** The responses of `GET /v1/operations`, `GET /v1/operations/history` and `GET /v1/dead-letters`. */

export type AlertState = "ok" | "pending" | "firing";

export interface Alert {
  readonly name: string;
  readonly title: string;
  readonly state: AlertState;
  readonly says: string;
  /** The heading of the alert's entry in the runbook. */
  readonly runbook: string;
}

export interface QueueLine {
  readonly queued: number;
  readonly oldest_seconds: number | null;
  readonly processing: number;
  readonly completed_per_minute: number;
  readonly backlog_gpu_seconds: number | null;
  readonly workers: number;
}

export interface Queue extends QueueLine {
  readonly as_of: string;
  readonly dead_letters: number;
  readonly models: readonly (QueueLine & { readonly model: string })[];
}

export interface WorkerTimes {
  readonly model: string;
  readonly gpu_seconds_per_unit: number;
  readonly step_seconds: number;
}

export interface Worker {
  readonly worker_id: string;
  readonly models: readonly string[];
  /** The models that the worker currently cannot load. */
  readonly broken_models: readonly { readonly model: string; readonly reason: string }[];
  readonly device: string;
  readonly slots: number;
  readonly reported_at: string;
  readonly times: readonly WorkerTimes[];
}

export interface LastHour {
  readonly completed: number;
  readonly failed: number;
  readonly cancelled: number;
  readonly gpu_seconds: number;
  readonly wasted_gpu_seconds: number;
  readonly failures: readonly { readonly code: string; readonly tasks: number }[];
}

export interface Operations {
  readonly queue: Queue;
  readonly workers: readonly Worker[];
  readonly last_hour: LastHour;
  readonly conditions: readonly Alert[];
}

/** The figures of some minutes. Those of the store are null if no minute was measured. */
export interface Bucket {
  readonly start: string;
  readonly measured_minutes: number;
  readonly queued: number | null;
  readonly oldest_seconds: number | null;
  readonly workers: number | null;
  readonly completed: number | null;
  readonly failed: number | null;
  readonly cancelled: number | null;
  readonly gpu_seconds: number | null;
  readonly wasted_gpu_seconds: number | null;
  readonly responses: number;
  readonly failed_responses: number;
}

export interface History {
  readonly since: string;
  readonly until: string;
  readonly bucket_seconds: number;
  /** Oldest first; buckets without any figure are omitted. */
  readonly buckets: readonly Bucket[];
}

export interface DeadLetter {
  readonly id: string;
  readonly died_at: string;
  readonly reason: string;
  readonly task_id: string | null;
  readonly is_replayable: boolean;
  readonly replayed_at: string | null;
  readonly subscription: string | null;
  readonly delivery_count: number | null;
}

export interface DeadLetterPage {
  readonly dead_letters: readonly DeadLetter[];
  readonly next_page_token: string | null;
}
