/**
 * The dialog that shows one image large, with its parameters, and leads to the next and the previous image of the list.
 *
 * While it is open, the page's address contains the picture: Back closes it, and a reload opens it again.
 */

import type { LabelChange, Parameters, TaskDocument } from "@darkroom/web";

import { announce } from "../announcer";
import { type Picture, choicesFor } from "../compare/compared";
import { byId, create, find, setAttribute, setText } from "../dom";
import { imageName, shortened } from "../formatting";
import { errorText } from "../problems";
import { type Label, favouriteChange, isFavourite, parseLabel } from "../labels/labels";
import { showLabelChips } from "../labels/label_chips";
import type { ReuseKind } from "../reuse_menu";
import { CodePanel } from "./code_panel";
import { copyImage } from "./copy_image";
import { factsOf, seedOf } from "./facts";
import { type PictureLink, isSameFile, parsePictureFragment, pictureUrl } from "./picture_link";
import { PicturePosition, isSamePicture } from "./picture_position";
import { ViewerHistory } from "./viewer_history";
import { Zoom, onSwipe } from "./zoom";

export interface ViewerActions {
  download(task: TaskDocument, index: number): Promise<void>;
  share(task: TaskDocument, index: number): void;
  /** Compare a picture with another one of these, or with its input picture. */
  compare(picture: Picture, pictures: readonly Picture[]): void;
  /** Without an index: all images of the task. Return a message if a task was submitted. */
  reuse(kind: ReuseKind, task: TaskDocument, index?: number): Promise<string | null>;
  /** Return the parameters of a task, as `POST /v1/tasks` takes them. */
  parametersOf(task: TaskDocument): Promise<Parameters>;
  imageSource(task: TaskDocument, index: number): Promise<string>;
  label(task: TaskDocument, change: LabelChange): Promise<void>;
  /** Ask for a change of the labels of a task. */
  chooseLabel(task: TaskDocument, apply: (change: LabelChange) => void): void;
  /** Show only the tasks with this label. */
  useLabel(label: Label): void;
  /** Load older tasks, whose images follow those of the list. */
  loadMore(): void;
  /** Return a task that is not in the list; null if it does not exist. */
  findTask(id: string): Promise<TaskDocument | null>;
}

type ActionName = "favourite" | "label" | "download" | "share" | "compare" | "link" | "copyPrompt" | "copySeed" | "copyImage" | "copyCode" | "close" | "previous" | "next" | "zoomIn" | "zoomOut" | "fit" | "actualSize";

/** Keys that work while the dialog is open, besides Escape. */
const KEYS: Readonly<Record<string, ActionName>> = {
  ArrowLeft: "previous", ArrowRight: "next", "+": "zoomIn", "=": "zoomIn", "-": "zoomOut", "0": "fit", "1": "actualSize", d: "download", l: "link", f: "favourite", c: "compare",
};

export class Viewer {
  readonly #dialog = byId("viewer", HTMLDialogElement);
  readonly #stage = find(this.#dialog, ".viewer__stage", HTMLElement);
  readonly #image = find(this.#dialog, ".viewer__image", HTMLImageElement);
  readonly #facts = find(this.#dialog, ".viewer__facts", HTMLElement);
  readonly #message = find(this.#dialog, ".viewer__message", HTMLElement);
  /** On the page: a link whose picture does not exist opens no dialog. */
  readonly #linkMessage = byId("link-message", HTMLElement);
  readonly #code: CodePanel;
  readonly #zoom: Zoom;
  #shown: Picture | null = null;
  #position = new PicturePosition();
  readonly #history = new ViewerHistory((link) => {
    if (link === null) this.#dialog.close();
    else if (link.taskId !== this.#shown?.task.id || link.index !== this.#shown.index) void this.#openLink(link);
  });
  /** An object URL that this viewer created; empty: none. */
  #objectUrl = "";
  #hasReadAddress = false;

  /** `pictures` returns all finished images of the list, in its order. `focusPicture` moves the focus to one of them. */
  constructor(
    private readonly actions: ViewerActions,
    private readonly pictures: () => readonly Picture[],
    private readonly focusPicture: (task: TaskDocument, index: number) => void,
  ) {
    this.#code = new CodePanel((task) => this.actions.parametersOf(task));
    this.#zoom = new Zoom(this.#stage, this.#image, (percent) => {
      setText(find(this.#dialog, ".viewer__zoom", HTMLElement), percent === null ? "" : `${percent} %`);
    });
    this.#dialog.addEventListener("click", (event) => {
      const target = event.target as Element;
      const name = target.closest<HTMLElement>("[data-action]")?.dataset.action;
      const kind = target.closest<HTMLElement>("[data-reuse]")?.dataset.reuse;
      const label = parseLabel(target.closest<HTMLElement>("[data-label]")?.dataset.label ?? "");
      if (typeof label !== "string") {
        this.#dialog.close();
        this.actions.useLabel(label);
      } else if (kind !== undefined) void this.#reuse(kind as ReuseKind);
      else if (name !== undefined) void this.#run(name as ActionName);
      else if (target === this.#dialog) this.#dialog.close();
    });
    this.#dialog.addEventListener("keydown", (event) => {
      const name = KEYS[event.key];
      if (name === undefined || event.target instanceof HTMLSelectElement || event.ctrlKey || event.metaKey || event.altKey) return;
      // The arrow keys scroll a zoomed image.
      if (event.key.startsWith("Arrow") && !this.#zoom.isFitted) return;
      event.preventDefault();
      void this.#run(name);
    });
    onSwipe(this.#stage, () => this.#zoom.isFitted, (direction) => { this.#step(direction); });
    this.#dialog.addEventListener("close", () => {
      const last = this.#shown;
      this.#shown = null;
      // The dialog returns the focus to the picture that opened it, which may be far away or deleted. The form keeps it.
      if (last !== null && document.activeElement?.closest("#form") == null) this.focusPicture(last.task, last.index);
      this.#history.leave();
    });
  }

  /** Open the picture of the page's address, if it names one. Only the first call has an effect. */
  async openAddress(): Promise<void> {
    const link = parsePictureFragment(location.hash);
    const isFirst = !this.#hasReadAddress;
    this.#hasReadAddress = true;
    if (link === null || !isFirst) return;
    this.#history.putListBelow();
    await this.#openLink(link);
  }

  /** `shownSource` is the URL of a smaller or equal version of the image that is loaded already. */
  open(task: TaskDocument, index: number, shownSource?: string): void {
    this.#history.whenLeft(() => { this.#open({ task, index }, shownSource); });
  }

  #open(picture: Picture, shownSource?: string): void {
    this.#history.show({ taskId: picture.task.id, index: picture.index });
    setText(this.#linkMessage, "");
    if (!this.#dialog.open) this.#position = new PicturePosition();
    this.#show(picture, shownSource);
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#dialog.scrollTop = 0;
  }

  /** Show changes of the list: the labels of the shown task, and the position of its picture. */
  refresh(tasks: readonly TaskDocument[]): void {
    const shown = this.#shown;
    if (shown === null) return;
    const task = tasks.find(({ id }) => id === shown.task.id) ?? shown.task;
    if (task !== shown.task) this.#showLabels(task);
    this.#shown = { task, index: shown.index };
    this.#showPosition(this.#shown);
  }

  #showLabels(task: TaskDocument): void {
    setAttribute(find(this.#dialog, "[data-action=favourite]", HTMLElement), "aria-pressed", String(isFavourite(task)));
    showLabelChips(byId("viewer-labels", HTMLElement), task);
  }

  async #openLink({ taskId, index }: PictureLink): Promise<void> {
    const listed = this.pictures().find(({ task }) => task.id === taskId)?.task;
    const task = listed ?? (await this.actions.findTask(taskId).catch(() => null));
    const picture = task?.images.find((image) => image.index === index) ?? task?.images[0];
    if (task && picture) this.open(task, picture.index);
    else setText(this.#linkMessage, "There is no picture at this address. It was deleted, or it belongs to another user: they can share it.");
  }

  #show(picture: Picture, shownSource?: string): void {
    this.#shown = picture;
    const { task, index } = picture;
    this.#zoom.fit();
    setText(this.#message, "");
    this.#image.alt = imageName(task.prompt, index, task.imageCount);
    this.#image.width = task.width;
    this.#image.height = task.height;
    this.#image.style.setProperty("--ratio", String(task.width / task.height));
    setText(byId("viewer-prompt", HTMLElement), task.prompt);
    this.#facts.replaceChildren(...factsOf(task, index).flatMap(([name, value]) => [create("dt", "", name), create("dd", "", value)]));
    find(this.#dialog, "[data-action=compare]", HTMLElement).hidden = choicesFor(picture, this.pictures()).length === 0;
    this.#showPosition(picture);
    this.#code.setTask(task);
    this.#showLabels(task);
    void this.#load(picture, shownSource);
  }

  #showPosition(picture: Picture): void {
    this.#position.update(picture, this.pictures());
    setText(find(this.#dialog, ".viewer__position", HTMLElement), this.#position.text);
    for (const [name, direction] of [["previous", -1], ["next", 1]] as const) {
      const step = find(this.#dialog, `[data-action="${name}"]`, HTMLElement);
      const isHidden = this.#position.neighbour(direction) === undefined;
      // A hidden button would lose the focus, and with it the keys of this dialog.
      if (isHidden && document.activeElement === step) this.#stage.focus();
      setAttribute(step, "aria-disabled", isHidden ? "true" : null);
    }
  }

  /** Show the loaded version at once, then the full image. */
  async #load(picture: Picture, shownSource: string | undefined): Promise<void> {
    if (shownSource === undefined) this.#image.removeAttribute("src");
    else this.#image.src = shownSource;
    this.#dialog.setAttribute("aria-busy", "true");
    try {
      const source = await this.actions.imageSource(picture.task, picture.index);
      if (shownSource === undefined || !isSameFile(source, shownSource)) {
        const full = Object.assign(new Image(), { src: source });
        await full.decode();
        if (isSamePicture(this.#shown, picture)) this.#image.src = source;
        if (source.startsWith("blob:")) this.#keepObjectUrl(source);
      }
    } catch {
      if (isSamePicture(this.#shown, picture) && shownSource === undefined) setText(this.#message, "The image could not be loaded.");
    } finally {
      if (isSamePicture(this.#shown, picture)) this.#dialog.removeAttribute("aria-busy");
    }
  }

  #keepObjectUrl(url: string): void {
    URL.revokeObjectURL(this.#objectUrl);
    this.#objectUrl = url;
  }

  #step(direction: 1 | -1): void {
    const neighbour = this.#position.neighbour(direction);
    if (this.#shown === null || neighbour === undefined) return;
    this.#open(neighbour);
    announce(`${this.#position.text}: ${shortened(neighbour.task.prompt, 80)}`);
    if (this.#position.isNearEnd) this.actions.loadMore();
  }

  async #run(name: ActionName): Promise<void> {
    if (this.#shown === null) return;
    const { task, index } = this.#shown;
    setText(this.#message, "");
    switch (name) {
      case "close": this.#dialog.close(); break;
      case "previous": this.#step(-1); break;
      case "next": this.#step(1); break;
      case "zoomIn": this.#zoom.step(1); break;
      case "zoomOut": this.#zoom.step(-1); break;
      case "fit": this.#zoom.fit(); break;
      case "actualSize": this.#zoom.showActualSize(); break;
      case "copyPrompt": await this.#copy(task.prompt, "Prompt copied."); break;
      case "copySeed": await this.#copy(seedOf(task, index) ?? "", "Seed copied."); break;
      case "copyImage": await this.#copyImage(); break;
      case "copyCode": await this.#copy(this.#code.text, "Code copied."); break;
      case "favourite": await this.#label(task, favouriteChange(!isFavourite(task))); break;
      case "label": this.actions.chooseLabel(task, (change) => void this.#label(task, change)); break;
      case "download":
        await this.actions.download(task, index).catch((error: unknown) => { setText(this.#message, errorText(error)); });
        break;
      case "share": this.actions.share(task, index); break;
      case "compare": this.actions.compare(this.#shown, this.pictures()); break;
      case "link":
        await this.#copy(pictureUrl(location.href.replace(/[#?].*$/, ""), { taskId: task.id, index }), "Link copied.");
        break;
    }
  }

  async #reuse(kind: ReuseKind): Promise<void> {
    if (this.#shown === null) return;
    const { task, index } = this.#shown;
    setText(this.#message, "");
    // The form is behind the dialog.
    if (kind !== "more") this.#dialog.close();
    try {
      setText(this.#message, (await this.actions.reuse(kind, task, index)) ?? "");
    } catch (error) {
      setText(this.#message, errorText(error));
    }
  }

  async #label(task: TaskDocument, change: LabelChange): Promise<void> {
    try {
      await this.actions.label(task, change);
    } catch (error) {
      setText(this.#message, errorText(error));
    }
  }

  async #copyImage(): Promise<void> {
    try {
      await copyImage(this.#image);
      setText(this.#message, "Image copied.");
    } catch {
      setText(this.#message, "The browser does not permit to copy this image. Download it instead.");
    }
  }

  async #copy(text: string, confirmation: string): Promise<void> {
    try {
      await navigator.clipboard.writeText(text);
      setText(this.#message, confirmation);
    } catch {
      // Without a secure context there is no clipboard: show the text, so that it can be copied by hand.
      setText(this.#message, text);
    }
  }
}
