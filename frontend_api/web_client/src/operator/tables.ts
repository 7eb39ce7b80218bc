/** The queue of each model, and each worker that is alive. */

import { byId } from "../dom";
import type { Operations, Queue, Worker } from "./operations";
import { Table } from "./table";
import { ago, count, modelsOf, rate, seconds, stepTimes, throughput } from "./wording";

interface SeenWorker {
  readonly worker: Worker;
  readonly asOf: string;
}

export class Tables {
  readonly #noWorkers = byId("no-workers", HTMLElement);
  readonly #workersTable = byId("workers-table", HTMLTableElement);

  readonly #models = new Table<Queue["models"][number]>(
    byId("models-table", HTMLTableElement),
    [
      { title: "Model", written: ({ model }) => model },
      { title: "Waiting", isNumber: true, written: ({ queued }) => count(queued) },
      { title: "Longest wait", isNumber: true, written: ({ oldest_seconds }) => seconds(oldest_seconds ?? 0) },
      { title: "In flight", isNumber: true, written: ({ processing }) => count(processing) },
      { title: "Per minute", isNumber: true, written: ({ completed_per_minute }) => rate(completed_per_minute) },
      { title: "Backlog", isNumber: true, written: ({ backlog_gpu_seconds }) => seconds(backlog_gpu_seconds) },
      { title: "Workers", isNumber: true, written: ({ workers }) => count(workers) },
    ],
    ({ model }) => model,
    "model-row",
  );

  readonly #workers = new Table<SeenWorker>(
    this.#workersTable,
    [
      { title: "Worker", written: ({ worker }) => worker.worker_id },
      { title: "Models", written: ({ worker }) => modelsOf(worker) },
      { title: "Device", written: ({ worker }) => worker.device },
      { title: "Slots", isNumber: true, written: ({ worker }) => count(worker.slots) },
      { title: "Step per image", isNumber: true, written: ({ worker }) => stepTimes(worker) },
      { title: "Throughput", isNumber: true, written: ({ worker }) => throughput(worker) },
      { title: "Reported", isNumber: true, written: ({ worker, asOf }) => ago(worker.reported_at, asOf) },
    ],
    ({ worker }) => worker.worker_id,
    "worker-row",
  );

  show({ queue, workers }: Operations): void {
    this.#models.show(queue.models);
    this.#workers.show(workers.map((worker) => ({ worker, asOf: queue.as_of })));
    this.#noWorkers.hidden = workers.length > 0;
    this.#workersTable.hidden = workers.length === 0;
  }
}
