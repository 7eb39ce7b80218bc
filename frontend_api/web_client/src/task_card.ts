/** A task's card. It is created from the template in index.html and updated with each task document. */

import type { LabelChange, QueueEstimate, TaskDocument } from "@darkroom/web";

import { announce } from "./announcer";
import { Confirmation } from "./confirmation";
import { find, setAttribute, setItems, setText } from "./dom";
import { ratioOf } from "./gallery/rows";
import { imageName, plainText, shortened, timeOrDay } from "./formatting";
import { errorText } from "./problems";
import { QueuePoller } from "./queue_poller";
import { type Label, favouriteChange, isFavourite, parseLabel } from "./labels/labels";
import { showLabelChips } from "./labels/label_chips";
import { type TaskView, columnsFor, viewOf } from "./task_view";
import { Tile } from "./tile";

export interface TaskActions {
  cancel(task: TaskDocument): Promise<void>;
  delete(task: TaskDocument): Promise<void>;
  /** Return the tasks as they are now, without those that were deleted. */
  latest(tasks: readonly TaskDocument[]): Promise<readonly TaskDocument[]>;
  download(task: TaskDocument): Promise<void>;
  retry(task: TaskDocument): Promise<void>;
  label(task: TaskDocument, change: LabelChange): Promise<void>;
  /** Show only the tasks with this label. */
  useLabel(label: Label): void;
  /** Offer to reuse parts of the task, in a menu beside the button. */
  reuse(task: TaskDocument, button: HTMLButtonElement): void;
  open(task: TaskDocument, index: number, shownSource?: string): void;
  thumbnailSource(task: TaskDocument, index: number): Promise<string>;
  /** Add the whole image to what is dragged, in place of its thumbnail. */
  drag(task: TaskDocument, index: number, data: DataTransfer): void;
  queueEstimate(task: TaskDocument): Promise<QueueEstimate>;
}

type ActionName = "cancel" | "download" | "retry" | "reuse" | "delete";
type PartName = "favourite" | "select" | "labels" | "images" | "tiles" | "bar" | "fill" | "prompt" | "headline" | "step" | "explanation" | "warnings" | "message";

const PARTS: Readonly<Record<PartName, string>> = {
  favourite: ".task__favourite",
  select: ".task__select input",
  labels: ".task__labels",
  images: ".task__images",
  tiles: ".task__tiles",
  bar: ".bar",
  fill: ".bar__fill",
  prompt: ".task__prompt",
  headline: ".task__headline",
  step: ".task__step",
  explanation: ".task__explanation",
  warnings: ".task__warnings",
  message: ".task__message",
};

export class TaskCard {
  readonly element: HTMLElement;
  #view: TaskView;
  readonly #tiles: Tile[] = [];
  readonly #parts: Readonly<Record<PartName, HTMLElement>>;
  readonly #confirmation = new Confirmation<ActionName>(() => { this.#showButtons(); });
  readonly #queuePoller = new QueuePoller(
    () => this.actions.queueEstimate(this.task),
    (text) => { setText(this.#parts.step, text); },
  );

  constructor(template: HTMLTemplateElement, private task: TaskDocument, private readonly actions: TaskActions) {
    this.element = find(template.content.cloneNode(true) as DocumentFragment, ".task", HTMLElement);
    this.#parts = Object.fromEntries(
      Object.entries(PARTS).map(([name, selector]) => [name, find(this.element, selector, HTMLElement)]),
    ) as Record<PartName, HTMLElement>;
    this.element.dataset.taskId = task.id;
    setText(this.#parts.prompt, task.prompt);
    this.#parts.prompt.title = task.prompt;
    setText(find(this.element, ".task__model", HTMLElement), task.model);
    this.#parts.select.ariaLabel = `Select: ${shortened(task.prompt, 80)}`;
    this.#parts.favourite.ariaLabel = `Favourite: ${shortened(task.prompt, 80)}`;
    this.#showTime();
    this.element.addEventListener("click", (event) => { this.#onClick(event); });
    this.#view = viewOf(task);
    this.#show();
  }

  /** A task that did not change is the same object. */
  update(task: TaskDocument): void {
    if (task === this.task) return;
    this.task = task;
    this.#view = viewOf(task);
    this.#show();
  }

  dispose(): void {
    this.#confirmation.reset();
    this.#queuePoller.stop();
    for (const tile of this.#tiles) tile.dispose();
  }

  #show(): void {
    const view = this.#view;
    const parts = this.#parts;
    setAttribute(this.element, "data-status", view.status);
    setAttribute(this.element, "data-phase", this.task.phase);
    setAttribute(this.element, "data-has-images", view.hasImages ? "" : null);
    setText(parts.headline, view.headline);
    this.#showStep();
    setText(parts.explanation, view.explanation ?? "");
    parts.explanation.hidden = view.explanation === null;
    setItems(parts.warnings, this.task.warnings.map(plainText));
    setAttribute(parts.favourite, "aria-pressed", String(isFavourite(this.task)));
    parts.favourite.hidden = !view.hasImages;
    showLabelChips(parts.labels, this.task);
    setAttribute(parts.bar, "data-shown", view.isActive ? "" : null);
    setAttribute(parts.bar, "data-indeterminate", view.isIndeterminate ? "" : null);
    setAttribute(parts.bar, "aria-valuenow", this.task.step);
    setAttribute(parts.bar, "aria-valuemax", this.task.totalSteps);
    setAttribute(parts.bar, "aria-valuetext", view.progressText);
    parts.fill.style.setProperty("--progress", String(view.progress));
    this.#showTiles();
    this.#showButtons();
  }

  /** A waiting task shows its queue position in place of the step. */
  #showStep(): void {
    const { isWaiting } = this.#view;
    if (isWaiting && this.#queuePoller.isStarted) return;
    if (isWaiting) this.#queuePoller.start();
    else this.#queuePoller.stop();
    setText(this.#parts.step, this.#view.stepText ?? "");
  }

  #showTiles(): void {
    const { task } = this;
    const { tiles } = this.#parts;
    while (this.#tiles.length < task.imageCount) {
      const index = this.#tiles.length;
      const tile = new Tile(
        (source) => { this.actions.open(this.task, index, source); },
        (data) => { this.actions.drag(this.task, index, data); },
      );
      this.#tiles.push(tile);
      tiles.append(tile.element);
    }
    tiles.dataset.count = String(task.imageCount);
    tiles.style.setProperty("--columns", String(columnsFor(task.imageCount, task.width / task.height)));
    this.#parts.images.style.setProperty("--area", String(ratioOf(task) ?? 1));
    tiles.style.setProperty("--ratio", String(task.width / task.height));
    void this.#showPreviews();
    for (const image of task.images) {
      const source = () => this.actions.thumbnailSource(task, image.index);
      void this.#tiles[image.index]?.showImage(image.sha256 || "stored", source, imageName(task.prompt, image.index, task.imageCount));
    }
    const isBlank = task.previews.length === 0 && (task.status !== "completed" || task.failedImages.length > 0);
    if (isBlank) for (const tile of this.#tiles) tile.clearPreviews();
  }

  /** All previews of a step appear in one frame, which costs the browser a quarter of four frames. */
  async #showPreviews(): Promise<void> {
    const decoded = await Promise.all(this.task.previews.map(async (preview) => this.#tiles[preview.index]?.decodePreview(preview)));
    for (const show of decoded) show?.();
  }

  #showButtons(): void {
    const view = this.#view;
    const focused = document.activeElement;
    const isConfirming = this.#confirmation.isPending("delete");
    this.#showButton("cancel", view.isActive, view.isCancelling ? "Cancelling…" : "Cancel", view.isCancelling);
    this.#showButton("download", view.hasImages, "Download");
    this.#showButton("retry", view.canRetry, "Retry");
    this.#showButton("reuse", true, "Reuse");
    this.#showButton("delete", !view.isActive, isConfirming ? "Delete?" : "Delete");
    setAttribute(this.#button("delete"), "data-confirming", isConfirming ? "" : null);
    // A hidden button would lose the focus to the page.
    const isLost = focused instanceof HTMLButtonElement && focused.hidden && this.element.contains(focused);
    if (isLost) find(this.element, ".task__actions button:not([hidden])", HTMLButtonElement).focus();
  }

  #showButton(name: ActionName, isShown: boolean, label: string, isBusy = false): void {
    const button = this.#button(name);
    button.hidden = !isShown;
    setText(button, label);
    setAttribute(button, "aria-disabled", isBusy ? "true" : null);
    setAttribute(button, "aria-label", `${label}: ${shortened(this.task.prompt, 80)}`);
  }

  #button(name: ActionName): HTMLButtonElement {
    return find(this.element, `.task__actions [data-action="${name}"]`, HTMLButtonElement);
  }

  #onClick(event: Event): void {
    const label = (event.target as Element).closest<HTMLElement>("[data-label]")?.dataset.label;
    const parsed = label === undefined ? "" : parseLabel(label);
    if (typeof parsed !== "string") this.actions.useLabel(parsed);
    const favourite = (event.target as Element).closest<HTMLButtonElement>(".task__favourite");
    if (favourite !== null) {
      void this.#showOutcome(favourite, this.actions.label(this.task, favouriteChange(!isFavourite(this.task))));
      return;
    }
    const button = (event.target as Element).closest<HTMLButtonElement>(".task__actions [data-action]");
    if (!button || button.getAttribute("aria-disabled") === "true") return;
    const name = button.dataset.action as ActionName;
    if (name === "reuse") this.actions.reuse(this.task, button);
    else void this.#showOutcome(button, name === "delete" ? this.#delete() : this.actions[name](this.task));
  }

  /** Ask before images are deleted, again if the task has others than the user has seen. */
  async #delete(): Promise<void> {
    const seen = this.task.images.length;
    if (seen === 0 || this.#confirmation.press("delete")) {
      const [task] = await this.actions.latest([this.task]);
      // The task was deleted, or the filter no longer selects it.
      if (task === undefined || !this.element.isConnected) return;
      this.update(task);
      // Then the card offers to cancel the task instead.
      if (this.#view.isActive) return;
      if (task.images.length === seen) {
        await this.actions.delete(task);
        return;
      }
      this.#confirmation.press("delete");
    }
    announce("Press again to delete the images permanently.");
  }

  async #showOutcome(button: HTMLButtonElement, action: Promise<void>): Promise<void> {
    // The attribute `disabled` would remove the focus from the button.
    button.setAttribute("aria-disabled", "true");
    setText(this.#parts.message, "");
    try {
      await action;
    } catch (error) {
      setText(this.#parts.message, errorText(error));
    } finally {
      button.removeAttribute("aria-disabled");
      this.#showButtons();
    }
  }

  #showTime(): void {
    const time = find(this.element, ".task__time", HTMLTimeElement);
    const created = new Date(this.task.createdAt);
    time.dateTime = created.toISOString();
    time.title = created.toLocaleString();
    setText(time, timeOrDay(created, new Date()));
  }
}
