/** The tables of models and of workers. */

import { byId } from "../dom";
import { ago, count, modelsOf, rate, seconds, stepTimes, throughput } from "./formatting";
import type { Operations, Queue, Worker } from "./operations";
import { Table } from "./table";

type ModelRow = Queue["models"][number];
type WorkerRow = Worker & { readonly as_of: string };

export class Tables {
  readonly #noWorkers = byId("no-workers", HTMLElement);
  readonly #workersTable = byId("workers-table", HTMLTableElement);

  readonly #models = new Table<ModelRow>(
    byId("models-table", HTMLTableElement),
    [
      { title: "Model", text: ({ model }) => model },
      { title: "Queued", isNumber: true, text: ({ queued }) => count(queued) },
      { title: "Oldest queued", isNumber: true, text: ({ oldest_seconds }) => seconds(oldest_seconds) },
      { title: "Processing", isNumber: true, text: ({ processing }) => count(processing) },
      { title: "Per minute", isNumber: true, text: ({ completed_per_minute }) => rate(completed_per_minute) },
      { title: "Backlog", isNumber: true, text: ({ backlog_gpu_seconds }) => seconds(backlog_gpu_seconds) },
      { title: "Workers", isNumber: true, text: ({ workers }) => count(workers) },
    ],
    ({ model }) => model,
    "model-row",
  );

  readonly #workers = new Table<WorkerRow>(
    this.#workersTable,
    [
      { title: "Worker", text: ({ worker_id }) => worker_id },
      { title: "Models", text: modelsOf },
      { title: "Device", text: ({ device }) => device },
      { title: "Slots", isNumber: true, text: ({ slots }) => count(slots) },
      { title: "Step per image", isNumber: true, text: stepTimes },
      { title: "Throughput", isNumber: true, text: throughput },
      { title: "Last report", isNumber: true, text: ({ reported_at, as_of }) => ago(reported_at, as_of) },
    ],
    ({ worker_id }) => worker_id,
    "worker-row",
  );

  show({ queue, workers }: Operations): void {
    this.#models.show(queue.models);
    this.#workers.show(workers.map((worker) => ({ ...worker, as_of: queue.as_of })));
    this.#noWorkers.hidden = workers.length > 0;
    this.#workersTable.hidden = workers.length === 0;
  }
}
