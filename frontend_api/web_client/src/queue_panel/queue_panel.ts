/** The panel above the list: the waiting and running tasks, and actions for all of them. */

import type { ChangeResult, QueueEstimate, Status, TaskDocument } from "@darkroom/web";

import { type BulkResult, changeAll, counted, resultText, runForEach } from "../bulk/bulk";
import { type Question, confirmed } from "../bulk/confirm";
import { byId, create, setAttribute, setText } from "../dom";
import { shortened } from "../formatting";
import { KeyedList } from "../keyed_list";
import { errorText } from "../problems";
import { QueuePoller } from "../queue_poller";
import { viewOf } from "../task_view";
import { inQueueOrder, lastOfEachModel, queueText } from "./queue_summary";

export interface QueueActions {
  cancel(task: TaskDocument): Promise<unknown>;
  cancelMany(ids: readonly string[]): Promise<readonly ChangeResult[]>;
  deleteMany(ids: readonly string[]): Promise<readonly ChangeResult[]>;
  retry(task: TaskDocument): Promise<unknown>;
  queueEstimate(task: TaskDocument): Promise<QueueEstimate>;
  /** Every task with this status, also those that are not loaded. */
  allWith(status: Status): Promise<readonly TaskDocument[]>;
}

/** A plan for many tasks, as the user is asked about it. */
interface Plan {
  readonly tasks: readonly TaskDocument[];
  readonly question: Question;
  readonly run: (tasks: readonly TaskDocument[], onProgress: (finished: number) => void) => Promise<BulkResult<TaskDocument>>;
  readonly participle: string;
}

const MAX_ROWS = 50;

export class QueuePanel {
  readonly #summary = byId("queue-summary", HTMLElement);
  readonly #rest = byId("queue-rest", HTMLElement);
  readonly #message = byId("queue-message", HTMLElement);
  readonly #rows: KeyedList<TaskDocument>;
  #tasks: readonly TaskDocument[] = [];
  #seconds: number | null = null;
  #lastIds = "";
  readonly #poller = new QueuePoller(() => this.#estimate(), () => { this.#showSummary(); });

  constructor(private readonly actions: QueueActions) {
    this.#rows = new KeyedList(byId("queue-list", HTMLElement), ({ id }) => id, (task) => new QueueRow(task, actions), "queue-summary");
    const plans = { "cancel-all": () => this.#cancelAll(), "retry-failed": () => this.#retryFailed(), "clear-finished": () => this.#clearFinished() };
    for (const [id, plan] of Object.entries(plans)) {
      const button = byId(id, HTMLButtonElement);
      button.addEventListener("click", () => {
        if (button.getAttribute("aria-disabled") !== "true") void this.#run(button, plan);
      });
    }
  }

  show(tasks: readonly TaskDocument[]): void {
    this.#tasks = inQueueOrder(tasks);
    const lastIds = lastOfEachModel(this.#tasks).map(({ id }) => id).join(" ");
    if (lastIds !== this.#lastIds) {
      this.#lastIds = lastIds;
      this.#poller.stop();
      if (lastIds !== "") this.#poller.start();
      else this.#seconds = null;
    }
    this.#rows.show(this.#tasks.slice(0, MAX_ROWS));
    const others = this.#tasks.length - MAX_ROWS;
    setText(this.#rest, this.#tasks.length === 0 ? "No task is waiting or running." : others > 0 ? `and ${others} more` : "");
    this.#showSummary();
  }

  #showSummary(): void {
    setText(this.#summary, queueText(this.#tasks, this.#seconds));
  }

  /** When the last task of every model is finished, all are. */
  async #estimate(): Promise<QueueEstimate> {
    const estimates = await Promise.all(lastOfEachModel(this.#tasks).map((task) => this.actions.queueEstimate(task)));
    const seconds = estimates.map((estimate) => estimate.seconds);
    this.#seconds = seconds.length === 0 || seconds.includes(null) ? null : Math.max(...seconds.map(Number));
    return { position: null, seconds: this.#seconds, served: null };
  }

  /** Every task with one of these statuses, once: it may change from the first to the second while they are read. */
  async #allWith(...statuses: readonly Status[]): Promise<readonly TaskDocument[]> {
    const tasks = new Map<string, TaskDocument>();
    for (const status of statuses) for (const task of await this.actions.allWith(status)) tasks.set(task.id, task);
    return [...tasks.values()];
  }

  async #cancelAll(): Promise<Plan> {
    const tasks = await this.#allWith("queued", "processing");
    return {
      tasks,
      question: {
        title: `Cancel ${counted(tasks.length, "task")}?`,
        texts: ["All waiting and running tasks are cancelled. Finished images are kept."],
        action: "Cancel all",
        otherwise: "Keep running",
      },
      run: (all, onProgress) => changeAll(all, (ids) => this.actions.cancelMany(ids), onProgress),
      participle: "cancelled",
    };
  }

  async #retryFailed(): Promise<Plan> {
    const tasks = await this.actions.allWith("failed");
    return {
      tasks,
      question: {
        title: `Retry ${counted(tasks.length, "failed task")}?`,
        texts: ["They are queued again with the same seeds. Finished images are kept."],
        action: "Retry failed",
        otherwise: "Close",
      },
      run: (all, onProgress) => runForEach(all, (task) => this.actions.retry(task), onProgress),
      participle: "queued again",
    };
  }

  async #clearFinished(): Promise<Plan> {
    const tasks = (await this.#allWith("failed", "cancelled")).filter(({ images }) => images.length === 0);
    const failedCount = tasks.filter(({ status }) => status === "failed").length;
    return {
      tasks,
      question: {
        title: `Delete ${counted(tasks.length, "task")} permanently?`,
        texts: [
          `${failedCount} failed and ${tasks.length - failedCount} cancelled tasks without images are deleted. This cannot be undone.`,
          "No image is deleted: tasks with images are kept, whether they were completed, failed or were cancelled.",
        ],
        action: `Delete ${counted(tasks.length, "task")}`,
      },
      run: (all, onProgress) => changeAll(all, (ids) => this.actions.deleteMany(ids), onProgress),
      participle: "deleted",
    };
  }

  async #run(button: HTMLButtonElement, plan: () => Promise<Plan>): Promise<void> {
    button.setAttribute("aria-disabled", "true");
    this.#say("");
    try {
      const { tasks, question, run, participle } = await plan();
      if (tasks.length === 0) this.#say("There is no such task.");
      else if (await confirmed(question)) {
        // While the question was open, a task may have changed, such as by a retry in another tab.
        const current = new Set((await plan()).tasks.map(({ id }) => id));
        const left = tasks.filter(({ id }) => current.has(id));
        const result = await run(left, (finished) => { setText(this.#message, `${finished} of ${left.length}`); });
        this.#say(resultText(result, participle) + (result.failed.length > 0 ? ` Press ${button.textContent} to try again.` : ""), result.failed.length > 0);
      }
    } catch (error) {
      this.#say(errorText(error), true);
    } finally {
      button.removeAttribute("aria-disabled");
    }
  }

  #say(text: string, isError = false): void {
    this.#message.classList.toggle("is-error", isError);
    setText(this.#message, text);
  }
}

/** One waiting or running task. */
class QueueRow {
  readonly element = create("li", "queue__row");
  readonly #prompt = create("span", "queue__prompt");
  readonly #status = create("span", "queue__status");
  readonly #cancel = Object.assign(create("button", "button button--small", "Cancel"), { type: "button" });

  constructor(private task: TaskDocument, actions: QueueActions) {
    this.#prompt.dir = "auto";
    this.element.dataset.taskId = task.id;
    this.element.append(this.#prompt, this.#status, this.#cancel);
    setText(this.#prompt, task.prompt);
    this.#cancel.setAttribute("aria-label", `Cancel: ${shortened(task.prompt, 80)}`);
    this.#cancel.addEventListener("click", () => {
      if (this.#cancel.getAttribute("aria-disabled") === "true") return;
      this.#cancel.setAttribute("aria-disabled", "true");
      actions.cancel(this.task).catch((error: unknown) => {
        this.#cancel.removeAttribute("aria-disabled");
        setText(this.#status, errorText(error));
      });
    });
    this.update(task);
  }

  update(task: TaskDocument): void {
    this.task = task;
    const view = viewOf(task);
    setText(this.#status, view.stepText ?? view.headline);
    setAttribute(this.#cancel, "aria-disabled", view.isCancelling ? "true" : null);
  }
}
