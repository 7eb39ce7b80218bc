/** The bar with the actions for the selected tasks. */

import type { ChangeResult, LabelChange, TaskDocument } from "@darkroom/web";

import { changeAll, counted, resultText } from "../bulk/bulk";
import { confirmed } from "../bulk/confirm";
import { type Picture, pairOf } from "../compare/compared";
import { byId, find, save, setAttribute, setText } from "../dom";
import { favouriteChange, isFavourite } from "../labels/labels";
import type { LabelDialog } from "../labels/label_dialog";
import { errorText } from "../problems";
import { isUnfinished } from "../queue_panel/queue_summary";
import { type NamedImage, namedImages } from "./file_names";
import { cancelQuestion, deleteQuestion } from "./questions";
import type { SelectMode } from "./select_mode";

export interface SelectionActions {
  cancelMany(ids: readonly string[]): Promise<readonly ChangeResult[]>;
  deleteMany(ids: readonly string[]): Promise<readonly ChangeResult[]>;
  /** Return the tasks as they are now, without those that were deleted. */
  latest(tasks: readonly TaskDocument[]): Promise<readonly TaskDocument[]>;
  labelMany(ids: readonly string[], change: LabelChange): Promise<readonly ChangeResult[]>;
  imageBytes(task: TaskDocument, index: number): Promise<Blob>;
  compare(left: Picture, right: Picture): void;
}

type ActionName = "selectAll" | "favourite" | "label" | "compare" | "download" | "cancel" | "delete" | "close";

export class ActionBar {
  readonly #bar = byId("selection-bar", HTMLElement);
  readonly #count = find(this.#bar, ".selection__count", HTMLElement);
  readonly #message = find(this.#bar, ".selection__message", HTMLElement);
  readonly #progress = find(this.#bar, "progress", HTMLProgressElement);
  #selected: readonly TaskDocument[] = [];
  #isRunning = false;
  #zip: AbortController | null = null;

  constructor(private readonly actions: SelectionActions, private readonly mode: () => SelectMode, private readonly labels: LabelDialog) {
    this.#bar.addEventListener("click", (event) => {
      const button = (event.target as Element).closest<HTMLButtonElement>("[data-action]");
      if (button !== null && button.getAttribute("aria-disabled") !== "true") void this.#press(button.dataset.action as ActionName);
    });
  }

  /** Show the bar for these tasks; null hides it. */
  show(selected: readonly TaskDocument[] | null): void {
    const isShown = selected !== null;
    if (this.#bar.hidden === isShown) setText(this.#message, "");
    this.#bar.hidden = !isShown;
    document.body.classList.toggle("is-selecting", isShown);
    this.#selected = selected ?? [];
    const images = this.#selected.flatMap((task) => task.images).length;
    const hasNone = this.#selected.length === 0;
    setText(this.#count, hasNone ? "None selected" : `${counted(this.#selected.length, "task")}, ${counted(images, "image")}`);
    setAttribute(this.#button("favourite"), "aria-pressed", String(!hasNone && this.#selected.every(isFavourite)));
    const isBlocked: Partial<Record<ActionName, boolean>> = {
      favourite: hasNone, label: hasNone, delete: hasNone, compare: images !== 2, download: images === 0, cancel: !this.#selected.some(isUnfinished),
    };
    for (const [name, isDisabled] of Object.entries(isBlocked)) {
      const isStop = name === "download" && this.#zip !== null;
      setAttribute(this.#button(name as ActionName), "aria-disabled", (isDisabled || this.#isRunning) && !isStop ? "true" : null);
    }
    setText(this.#button("download"), this.#zip === null ? "Download zip" : "Stop download");
  }

  #button(name: ActionName): HTMLButtonElement {
    return find(this.#bar, `[data-action="${name}"]`, HTMLButtonElement);
  }

  async #press(name: ActionName): Promise<void> {
    const tasks = this.#selected;
    switch (name) {
      case "close": this.mode().leave(); break;
      case "selectAll": this.mode().selectAll(); break;
      case "favourite": {
        const change = favouriteChange(!tasks.every(isFavourite));
        await this.#run(tasks, (ids) => this.actions.labelMany(ids, change), "changed", "Favourite");
        break;
      }
      case "label":
        this.labels.open(tasks, (change) => void this.#run(tasks, (ids) => this.actions.labelMany(ids, change), "labelled", "Label"));
        break;
      case "compare": {
        const pair = pairOf(tasks);
        if (pair !== null) this.actions.compare(...pair);
        break;
      }
      case "cancel": {
        const unfinished = tasks.filter(isUnfinished);
        if (await confirmed(cancelQuestion(unfinished))) await this.#run(unfinished, (ids) => this.actions.cancelMany(ids), "cancelled", "Cancel");
        break;
      }
      case "delete": {
        const confirmedTasks = await this.#confirmDeletion();
        if (confirmedTasks.length > 0) await this.#run(confirmedTasks, (ids) => this.actions.deleteMany(ids), "deleted", "Delete");
        break;
      }
      case "download":
        if (this.#zip === null) await this.#download(namedImages(tasks));
        else this.#zip.abort();
        break;
    }
  }

  /** Ask about the selected tasks, again if they have other images after the answer. Return those to delete. */
  async #confirmDeletion(): Promise<readonly TaskDocument[]> {
    try {
      for (let asked = ""; ;) {
        const tasks = await this.#readSelected();
        const question = deleteQuestion(tasks);
        if (tasks.length === 0 || JSON.stringify(question) === asked) return tasks;
        asked = JSON.stringify(question);
        if (!(await confirmed(question))) return [];
      }
    } catch (error) {
      this.#say(`${errorText(error, "The tasks could not be read.")} Nothing was deleted.`, true);
      return [];
    }
  }

  /** Read the selected tasks again, and return those that are still selected. */
  async #readSelected(): Promise<readonly TaskDocument[]> {
    this.#setRunning(1);
    try {
      const tasks = await this.actions.latest(this.#selected);
      return tasks.filter(({ id }) => this.#selected.some((selected) => selected.id === id));
    } finally {
      this.#setRunning(null);
    }
  }

  async #run(tasks: readonly TaskDocument[], action: (ids: readonly string[]) => Promise<readonly ChangeResult[]>, participle: string, button: string): Promise<void> {
    this.#setRunning(tasks.length);
    const result = await changeAll(tasks, action, (finished) => { this.#progress.value = finished; });
    this.#setRunning(null);
    const again = result.failed.length > 0 ? ` Press ${button} to try again.` : "";
    this.#say(resultText(result, participle) + again, result.failed.length > 0);
  }

  async #download(images: readonly NamedImage[]): Promise<void> {
    this.#zip = new AbortController();
    this.#setRunning(images.length);
    try {
      const { zipImages, zipText } = await import("./zip");
      const fetchImage = ({ task, index }: NamedImage) => this.actions.imageBytes(task, index);
      const zipped = await zipImages(images, fetchImage, (finished) => { this.#progress.value = finished; }, this.#zip.signal);
      if (zipped.added > 0) save(zipped.file, `darkroom-${zipped.added}-images.zip`);
      this.#say(zipText(zipped), zipped.missing.length > 0);
    } catch (error) {
      if (this.#zip.signal.aborted) this.#say("Download stopped. Nothing was saved.");
      else this.#say(error instanceof Error && error.name === "ZipTooLargeError" ? error.message : errorText(error), true);
    } finally {
      this.#zip = null;
      this.#setRunning(null);
    }
  }

  /** Show the progress of so many steps; null: nothing is running. */
  #setRunning(steps: number | null): void {
    this.#isRunning = steps !== null;
    this.#progress.hidden = steps === null;
    this.#progress.max = steps ?? 1;
    this.#progress.value = 0;
    if (steps !== null) this.#say("");
    if (!this.#bar.hidden) this.show(this.#selected);
  }

  #say(text: string, isError = false): void {
    this.#message.classList.toggle("is-error", isError);
    setText(this.#message, text);
  }
}
