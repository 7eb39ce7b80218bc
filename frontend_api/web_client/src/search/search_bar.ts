/** The search field above the list, and the filters beside it. */

import type { Status, TaskDocument } from "@darkroom/web";

import { byId, create, find, setAttribute, setText } from "../dom";
import { type Label, countedLabels, labelText, parseLabel } from "../labels/labels";
import { showAtField } from "../form/field_messages";
import { type TaskFilter, NO_FILTER, apiQuery, isEmpty } from "./task_filter";
import { searchText } from "./search_text";
import type { LibraryView } from "./task_library";

const TYPING_MILLISECONDS = 150;
const MAX_LABELS = 50;

export class SearchBar {
  readonly #form = byId("search", HTMLFormElement);
  readonly #text = byId("search-text", HTMLInputElement);
  readonly #favourites = byId("search-favourites", HTMLButtonElement);
  readonly #toggle = byId("search-more", HTMLButtonElement);
  readonly #filters = byId("search-filters", HTMLElement);
  readonly #status = byId("search-status", HTMLSelectElement);
  readonly #model = byId("search-model", HTMLSelectElement);
  readonly #label = byId("search-label", HTMLInputElement);
  readonly #from = byId("search-from", HTMLInputElement);
  readonly #to = byId("search-to", HTMLInputElement);
  readonly #result = byId("search-result", HTMLElement);
  readonly #reset = byId("search-reset", HTMLButtonElement);
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `loaded` returns the tasks whose models and labels are offered. */
  constructor(private readonly setFilter: (filter: TaskFilter) => void, private readonly loaded: () => readonly TaskDocument[]) {
    document.addEventListener("focusin", ({ target }) => {
      if (target instanceof HTMLInputElement && target.list?.id === "known-labels") this.#offerLabels();
    });
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#apply();
    });
    this.#form.addEventListener("input", (event) => {
      clearTimeout(this.#timer);
      const isTyped = event.target === this.#text || event.target === this.#label;
      this.#timer = setTimeout(() => { this.#apply(); }, isTyped ? TYPING_MILLISECONDS : 0);
    });
    this.#favourites.addEventListener("click", () => {
      setAttribute(this.#favourites, "aria-pressed", String(!this.#isPressed));
      this.#apply();
    });
    this.#toggle.addEventListener("click", () => {
      this.setModels([...new Set(this.loaded().map(({ model }) => model))]);
      this.#filters.hidden = !this.#filters.hidden;
      setAttribute(this.#toggle, "aria-expanded", String(!this.#filters.hidden));
    });
    for (const button of [byId("search-clear", HTMLButtonElement), this.#reset]) {
      button.addEventListener("click", () => {
        this.clear();
        this.#text.focus();
      });
    }
  }

  focus(): void {
    this.#text.focus();
    this.#text.select();
  }

  clear(): void {
    this.#form.reset();
    setAttribute(this.#favourites, "aria-pressed", "false");
    this.#apply();
  }

  /** Show only the tasks with this label. */
  useLabel(label: Label): void {
    this.#label.value = labelText(label);
    if (this.#filters.hidden) this.#toggle.click();
    this.#apply();
  }

  setModels(names: readonly string[]): void {
    const known = new Set(Array.from(this.#model.options, ({ value }) => value));
    for (const name of names) if (!known.has(name)) this.#model.append(new Option(name, name));
  }

  show(view: LibraryView): void {
    setText(this.#result, searchText(view));
    this.#reset.hidden = isEmpty(view.filter);
  }

  #offerLabels(): void {
    const labels = countedLabels(this.loaded()).map(labelText).slice(0, MAX_LABELS);
    find(this.#form, "datalist", HTMLDataListElement).replaceChildren(...labels.map((value) => Object.assign(create("option"), { value })));
  }

  get #isPressed(): boolean {
    return this.#favourites.getAttribute("aria-pressed") === "true";
  }

  #apply(): void {
    clearTimeout(this.#timer);
    const parsed = this.#label.value.trim() === "" ? null : parseLabel(this.#label.value);
    showAtField(find(this.#form, "[data-field=label]", HTMLElement), "error", typeof parsed === "string" ? parsed : "");
    const filter: TaskFilter = {
      ...NO_FILTER,
      text: this.#text.value,
      status: (this.#status.value || null) as Status | null,
      model: this.#model.value || null,
      label: typeof parsed === "string" ? null : parsed,
      isFavourite: this.#isPressed,
      from: this.#from.value || null,
      to: this.#to.value || null,
    };
    const count = apiQuery({ ...filter, isFavourite: false }).size;
    setText(this.#toggle, count === 0 ? "Filter" : `Filter (${count})`);
    this.setFilter(filter);
  }
}
