/** A task's card: built once from the template in index.html, then brought up to date with each document. */

import { announce } from "./announcer";
import { found, say, sayEach, setAttribute } from "./dom";
import { momentOf, shortened } from "./formatting";
import { ProblemError } from "./problems";
import type { TaskDocument } from "./task_document";
import { type TaskView, viewOf } from "./task_view";
import { Tile } from "./tile";
import { type Outlook, WaitingLine } from "./waiting_line";

export interface TaskActions {
  cancel(task: TaskDocument): Promise<void>;
  delete(task: TaskDocument): Promise<void>;
  download(task: TaskDocument): Promise<void>;
  retry(task: TaskDocument): Promise<void>;
  reuseSeed(task: TaskDocument): Promise<void>;
  open(task: TaskDocument, index: number, shownSource: string): void;
  imageSource(task: TaskDocument, index: number): Promise<string>;
  outlook(task: TaskDocument): Promise<Outlook>;
}

type ActionName = "cancel" | "download" | "retry" | "seed" | "delete";

/** How long "Delete?" waits for the second press. */
const CONFIRMATION_MILLISECONDS = 5_000;

export class TaskCard {
  readonly element: HTMLElement;
  #task: TaskDocument;
  #view: TaskView;
  #tiles: Tile[] = [];
  #confirming: ReturnType<typeof setTimeout> | undefined;
  readonly #parts: Record<"tray" | "bar" | "fill" | "prompt" | "headline" | "step" | "explanation" | "warnings" | "message", HTMLElement>;
  readonly #tilesElement: HTMLElement;
  readonly #waiting = new WaitingLine(
    () => this.actions.outlook(this.#task),
    (text) => { say(this.#parts.step, text); },
  );

  constructor(template: HTMLTemplateElement, task: TaskDocument, private readonly actions: TaskActions) {
    const fragment = template.content.cloneNode(true) as DocumentFragment;
    const part = (selector: string) => found(fragment, selector, HTMLElement);
    this.element = part(".task");
    this.#tilesElement = part(".tray__tiles");
    this.#parts = {
      tray: part(".tray"),
      bar: part(".bar"),
      fill: part(".bar__fill"),
      prompt: part(".task__prompt"),
      headline: part(".task__headline"),
      step: part(".task__step"),
      explanation: part(".task__explanation"),
      warnings: part(".task__warnings"),
      message: part(".task__message"),
    };
    this.element.dataset.taskId = task.id;
    say(this.#parts.prompt, task.prompt);
    this.#parts.prompt.title = task.prompt;
    this.#writeTime(task);
    this.element.addEventListener("click", (event) => { this.#clicked(event); });
    this.#task = task;
    this.#view = viewOf(task);
    this.#show();
  }

  update(task: TaskDocument): void {
    const before = this.#view.announcement;
    this.#task = task;
    this.#view = viewOf(task);
    this.#show();
    if (this.#view.announcement !== null && this.#view.announcement !== before) announce(this.#view.announcement);
  }

  dispose(): void {
    clearTimeout(this.#confirming);
    this.#waiting.stop();
    for (const tile of this.#tiles) tile.dispose();
    this.element.remove();
  }

  #show(): void {
    const view = this.#view;
    const parts = this.#parts;
    setAttribute(this.element, "data-status", view.status);
    setAttribute(this.element, "data-phase", this.#task.phase);
    say(parts.headline, view.headline);
    this.#showStep();
    say(parts.explanation, view.explanation ?? "");
    parts.explanation.hidden = view.explanation === null;
    sayEach(parts.warnings, this.#task.warnings.map((warning) => warning.detail));
    setAttribute(parts.bar, "data-shown", view.isActive ? "" : null);
    setAttribute(parts.bar, "data-indeterminate", view.isIndeterminate ? "" : null);
    setAttribute(parts.bar, "aria-valuenow", this.#task.step);
    setAttribute(parts.bar, "aria-valuemax", this.#task.totalSteps);
    setAttribute(parts.bar, "aria-valuetext", view.progressText);
    parts.fill.style.setProperty("--progress", String(view.progress));
    parts.tray.style.setProperty("--undeveloped", String(1 - view.progress));
    this.#showTiles();
    this.#showButtons();
  }

  /** While a task waits, the line of its steps tells where it stands. */
  #showStep(): void {
    const isWaiting = this.#view.status === "queued";
    if (isWaiting && this.#waiting.isAsking) return;
    if (isWaiting) this.#waiting.start();
    else this.#waiting.stop();
    say(this.#parts.step, this.#view.stepText ?? "");
  }

  #showTiles(): void {
    const task = this.#task;
    while (this.#tiles.length < task.imageCount) {
      const index = this.#tiles.length;
      const tile = new Tile(() => {
        const source = tile.shownSource;
        if (source !== null) this.actions.open(this.#task, index, source);
      });
      this.#tiles.push(tile);
      this.#tilesElement.append(tile.element);
    }
    this.#tilesElement.dataset.count = String(task.imageCount);
    this.#tilesElement.style.setProperty("--columns", String(Math.ceil(Math.sqrt(task.imageCount))));
    this.#tilesElement.style.setProperty("--ratio", String(task.width / task.height));
    for (const preview of task.previews) this.#tiles[preview.index]?.showPreview(preview);
    for (const image of task.images) {
      const source = () => this.actions.imageSource(task, image.index);
      void this.#tiles[image.index]?.showImage(image.sha256 || "stored", source, task.prompt);
    }
    // A tile that has its picture keeps it.
    const isBlank = task.previews.length === 0 && (task.status !== "completed" || task.failedImages.length > 0);
    if (isBlank) for (const tile of this.#tiles) tile.clearPreviews();
  }

  #showButtons(): void {
    const view = this.#view;
    this.#offer("cancel", view.canCancel, view.isCancelling ? "Stopping…" : "Cancel", view.isCancelling);
    this.#offer("download", view.canDownload, "Download");
    this.#offer("retry", view.canRetry, "Try again");
    this.#offer("seed", true, "Use seed");
    const isConfirming = this.#confirming !== undefined;
    this.#offer("delete", view.canDelete, isConfirming ? "Delete?" : "Delete");
    setAttribute(this.#button("delete"), "data-confirming", isConfirming ? "" : null);
  }

  #offer(name: ActionName, isOffered: boolean, label: string, isPressed = false): void {
    const button = this.#button(name);
    button.hidden = !isOffered;
    say(button, label);
    setAttribute(button, "aria-disabled", isPressed ? "true" : null);
    setAttribute(button, "aria-label", `${label}: ${shortened(this.#task.prompt, 80)}`);
  }

  #button(name: ActionName): HTMLButtonElement {
    return found(this.element, `.task__actions [data-action="${name}"]`, HTMLButtonElement);
  }

  #clicked(event: Event): void {
    const button = (event.target as Element).closest<HTMLButtonElement>(".task__actions [data-action]");
    if (!button || button.getAttribute("aria-disabled") === "true") return;
    const name = button.dataset.action as ActionName;
    if (name === "delete" && this.#view.deleteNeedsConfirmation && this.#confirming === undefined) {
      this.#confirming = setTimeout(() => {
        this.#confirming = undefined;
        this.#showButtons();
      }, CONFIRMATION_MILLISECONDS);
      this.#showButtons();
      announce("Press again to delete for good");
      return;
    }
    void this.#run(name, button);
  }

  async #run(name: ActionName, button: HTMLButtonElement): Promise<void> {
    // Not `disabled`: that would throw the focus away.
    button.setAttribute("aria-disabled", "true");
    say(this.#parts.message, "");
    try {
      await (name === "seed" ? this.actions.reuseSeed(this.#task) : this.actions[name](this.#task));
    } catch (error) {
      say(this.#parts.message, error instanceof ProblemError ? error.message : "That did not work. Try again.");
    } finally {
      button.removeAttribute("aria-disabled");
      this.#showButtons();
    }
  }

  #writeTime(task: TaskDocument): void {
    const time = found(this.element, ".task__time", HTMLTimeElement);
    const created = new Date(task.createdAt);
    time.dateTime = created.toISOString();
    time.title = created.toLocaleString();
    say(time, momentOf(created, new Date()));
  }
}
