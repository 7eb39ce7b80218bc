/** The form for new tasks: the chosen model's options and limits, the typed values, and the errors at their fields. */

import { checkAspectRatio, showAspectRatios } from "./aspect_ratios";
import { FIELD_NAMES, type FieldErrors, type FieldName, type Model, isUsed } from "../catalog";
import { byId, find, setAttribute, setText } from "../dom";
import { loadDraft, saveDraft } from "./draft";
import { modelHint, modelLabel, showAtField } from "./field_messages";
import { type FormValues, bodyOf, defaultsOf, sizesOf, validationErrors } from "./form_values";
import { samplerTitle } from "../formatting";
import { FormWarnings, type Warning } from "./warnings";

type Control = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

export class ParameterForm {
  readonly #form = byId("form", HTMLFormElement);
  readonly #submit = byId("submit", HTMLButtonElement);
  readonly #message = byId("form-message", HTMLElement);
  readonly #settings = byId("settings", HTMLDetailsElement);
  #models: readonly Model[] = [];
  #isSending = false;
  readonly #warnings: FormWarnings;

  /** Both functions take the body of `POST /v1/tasks`. `send` reports its result with `show` and `setMessage`. */
  constructor(
    send: (body: string) => Promise<void>,
    requestWarnings: (body: string) => Promise<readonly Warning[]>,
  ) {
    this.#warnings = new FormWarnings(requestWarnings, (fields) => {
      for (const name of FIELD_NAMES) showAtField(this.#form, name, "warning", fields[name] ?? "");
    });
    // Wide screens have space for the settings beside the list.
    this.#settings.open = matchMedia("(min-width: 60rem)").matches;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#onSubmit(send);
    });
    this.#form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#form.requestSubmit();
    });
    this.#form.addEventListener("input", (event) => { this.#onInput(event.target as Element); });
    byId("reset", HTMLButtonElement).addEventListener("click", () => {
      this.fill({ ...defaultsOf(this.#model()), seed: "" });
    });
  }

  /** Set the available models. The first call fills and enables the form; later calls update the models' labels. */
  setModels(models: readonly Model[]): void {
    const isFirst = this.#models.length === 0;
    this.#models = models;
    const choice = this.#control("model") as HTMLSelectElement;
    if (!isFirst) {
      const labels = new Map(models.map((model) => [model.name, modelLabel(model)]));
      for (const option of choice.options) setText(option, labels.get(option.value) ?? option.text);
      setText(byId("model-hint", HTMLElement), modelHint(this.#model()));
      return;
    }
    const typed = this.#typedValues();
    choice.replaceChildren(...models.map((model) => new Option(modelLabel(model), model.name)));
    const draft = loadDraft();
    if (models.some((model) => model.name === draft.model)) choice.value = draft.model ?? "";
    this.#showModel();
    const restored = draft.model === choice.value ? draft : { prompt: draft.prompt ?? "" };
    this.fill({ ...defaultsOf(this.#model()), ...restored, ...typed });
    this.#submit.disabled = false;
  }

  /** Set fields, as if the user had typed the values. */
  fill(values: Partial<FormValues>): void {
    for (const name of FIELD_NAMES) {
      const value = values[name];
      if (value === undefined) continue;
      const control = this.#control(name);
      if (name === "model" && control.value !== value) {
        control.value = value;
        this.#showModel();
      }
      control.value = value;
    }
    this.show({});
    this.#update();
  }

  useSeed(seed: string): void {
    this.fill({ seed });
    this.#settings.open = true;
    const control = this.#control("seed");
    control.focus();
    control.scrollIntoView({ block: "nearest" });
  }

  /** Show the errors at their fields, and focus the first of these fields. */
  show(errors: FieldErrors): void {
    let first: Control | null = null;
    for (const name of FIELD_NAMES) {
      const message = errors[name] ?? "";
      this.#showError(name, message);
      if (message) first ??= this.#control(name);
    }
    if (first !== null) {
      if (first.closest("details")) this.#settings.open = true;
      first.focus();
    }
  }

  /** Show a message beside the submit button. */
  setMessage(message: string, isError = false): void {
    this.#message.classList.toggle("is-error", isError);
    setText(this.#message, message);
  }

  async #onSubmit(send: (body: string) => Promise<void>): Promise<void> {
    if (this.#isSending || this.#models.length === 0) return;
    const values = this.#values();
    const errors = validationErrors(values, this.#model());
    this.show(errors);
    this.setMessage("");
    if (Object.keys(errors).length > 0) return;
    this.#isSending = true;
    this.#submit.setAttribute("aria-disabled", "true");
    try {
      await send(bodyOf(values, this.#model()));
    } finally {
      this.#isSending = false;
      this.#submit.removeAttribute("aria-disabled");
    }
  }

  /** The values that the user typed before the models were loaded. */
  #typedValues(): Partial<FormValues> {
    const typed = FIELD_NAMES.map((name) => [name, this.#control(name)] as const).filter(
      ([, control]) => !(control instanceof HTMLSelectElement) && control.value !== control.defaultValue,
    );
    return Object.fromEntries(typed.map(([name, control]) => [name, control.value]));
  }

  #onInput(control: Element): void {
    const range = control instanceof HTMLElement ? control.dataset.rangeFor : undefined;
    const name = (range ?? control.getAttribute("name") ?? "") as FieldName;
    if (range !== undefined) this.#control(name).value = (control as HTMLInputElement).value;
    if (name === "model") {
      this.#showModel();
      this.fill(defaultsOf(this.#model()));
    }
    if (FIELD_NAMES.includes(name)) this.#showError(name, "");
    this.#update();
  }

  /** Update everything that depends on the values of the fields. */
  #update(): void {
    const values = this.#values();
    for (const range of this.#form.querySelectorAll<HTMLInputElement>("[data-range-for]"))
      range.value = this.#control(range.dataset.rangeFor as FieldName).value;
    checkAspectRatio(values.width, values.height);
    setText(byId("settings-brief", HTMLElement), `${values.width} × ${values.height}, ${values.steps} steps`);
    saveDraft(values);
    if (this.#models.length === 0) return;
    const isValid = Object.keys(validationErrors(values, this.#model())).length === 0;
    this.#warnings.onEdit(isValid ? bodyOf(values, this.#model()) : null);
  }

  #showModel(): void {
    const model = this.#model();
    const { limits } = model;
    setText(byId("model-hint", HTMLElement), modelHint(model));
    for (const name of FIELD_NAMES) find(this.#form, `[data-field="${name}"]`, HTMLElement).hidden = !isUsed(name, model);
    const bound = (name: FieldName, low: number, high: number, step: string) => {
      for (const control of this.#form.querySelectorAll(`#${name}, [data-range-for="${name}"]`)) {
        setAttribute(control, "min", low);
        setAttribute(control, "max", high);
        if (!(control.id === "guidance_scale")) setAttribute(control, "step", step);
      }
    };
    bound("steps", limits.min_steps, limits.max_steps, "1");
    bound("guidance_scale", limits.min_guidance_scale, limits.max_guidance_scale, "0.1");
    for (const side of ["width", "height"] as const) bound(side, limits.min_side, limits.max_side, String(limits.side_multiple));
    bound("num_images", 1, limits.max_images, "1");
    const options = (name: FieldName, values: readonly string[], title: (value: string) => string) => {
      this.#control(name).replaceChildren(...values.map((value) => new Option(title(value), value)));
    };
    options("sampler", model.samplers, samplerTitle);
    options("output_format", model.output_formats, (format) => format.toUpperCase());
    showAspectRatios(sizesOf(model), ({ width, height }) => { this.fill({ width: String(width), height: String(height) }); });
  }

  #showError(name: FieldName, message: string): void {
    const id = showAtField(this.#form, name, "error", message);
    const control = this.#control(name);
    setAttribute(control, "aria-invalid", message ? "true" : null);
    setAttribute(control, "aria-describedby", message ? id : null);
  }

  #values(): FormValues {
    return Object.fromEntries(FIELD_NAMES.map((name) => [name, this.#control(name).value])) as unknown as FormValues;
  }

  #model(): Model {
    const name = this.#control("model").value;
    const model = this.#models.find((candidate) => candidate.name === name) ?? this.#models[0];
    if (model === undefined) throw new Error("The models are not loaded.");
    return model;
  }

  #control(name: FieldName): Control {
    return this.#form.elements.namedItem(name) as Control;
  }
}
