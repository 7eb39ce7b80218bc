/** The form: shows what the chosen model allows, reads what was typed, and puts each refusal at its field. */

import { type FieldErrors, type FieldName, type Model, hasEffect } from "./catalog";
import { recall, remember } from "./draft";
import { byId, found, say, setAttribute } from "./dom";
import { modelHint, showAtField } from "./field_messages";
import { type FormValues, bodyOf, defaultsOf, problemsOf, shapesOf } from "./form_values";
import { samplerTitle } from "./formatting";
import { markShape, showShapes } from "./shapes";
import { FormWarnings, type Warning } from "./warnings";

type Control = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

const NAMES = [
  "prompt", "negative_prompt", "model", "steps", "guidance_scale", "seed",
  "sampler", "width", "height", "num_images", "output_format",
] as const satisfies readonly FieldName[];

export class ParameterForm {
  readonly #form = byId("form", HTMLFormElement);
  readonly #submit = byId("submit", HTMLButtonElement);
  readonly #message = byId("form-message", HTMLElement);
  readonly #settings = byId("settings", HTMLDetailsElement);
  #models: readonly Model[] = [];
  #isSending = false;
  readonly #warnings: FormWarnings;

  /** `send` takes the body of `POST /v1/tasks` and reports through `refuse` and `say`; `ask` returns a body's warnings. */
  constructor(send: (body: string) => Promise<void>, ask: (body: string) => Promise<readonly Warning[]>) {
    this.#warnings = new FormWarnings(ask, (fields) => {
      for (const name of NAMES) showAtField(this.#form, name, "warning", fields[name] ?? "");
    });
    // Room for the settings beside the pictures: no need to hide them.
    this.#settings.open = matchMedia("(min-width: 60rem)").matches;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#submitted(send);
    });
    this.#form.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) this.#form.requestSubmit();
    });
    this.#form.addEventListener("input", (event) => { this.#edited(event.target as Element); });
    byId("reset", HTMLButtonElement).addEventListener("click", () => {
      this.fill({ ...defaultsOf(this.#model()), seed: "" });
    });
  }

  /** The catalog has arrived: the form can be used. */
  offer(models: readonly Model[]): void {
    const typed = this.#models.length === 0 ? this.#typedMeanwhile() : {};
    this.#models = models;
    const choice = this.#control("model") as HTMLSelectElement;
    choice.replaceChildren(...models.map((model) => new Option(model.title || model.name, model.name)));
    const draft = recall();
    if (models.some((model) => model.name === draft.model)) choice.value = draft.model ?? "";
    this.#showModel();
    const remembered = draft.model === choice.value ? draft : { prompt: draft.prompt ?? "" };
    this.fill({ ...defaultsOf(this.#model()), ...remembered, ...typed });
    this.#submit.disabled = false;
  }

  /** Put values in fields as if they had been typed. */
  fill(values: Partial<FormValues>): void {
    for (const name of NAMES) {
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
    this.#follow();
  }

  useSeed(seed: string): void {
    this.fill({ seed });
    this.#settings.open = true;
    const control = this.#control("seed");
    control.focus();
    control.scrollIntoView({ block: "nearest" });
  }

  /** Put each message at its field, and the focus on the first one. */
  show(errors: FieldErrors): void {
    let first: Control | null = null;
    for (const name of NAMES) {
      const message = errors[name] ?? "";
      this.#showError(name, message);
      if (message) first ??= this.#control(name);
    }
    if (first !== null) {
      if (first.closest("details")) this.#settings.open = true;
      first.focus();
    }
  }

  say(message: string, isTrouble = false): void {
    this.#message.classList.toggle("is-trouble", isTrouble);
    say(this.#message, message);
  }

  async #submitted(send: (body: string) => Promise<void>): Promise<void> {
    if (this.#isSending || this.#models.length === 0) return;
    const values = this.#values();
    const problems = problemsOf(values, this.#model());
    this.show(problems);
    this.say("");
    if (Object.keys(problems).length > 0) return;
    this.#isSending = true;
    this.#submit.setAttribute("aria-disabled", "true");
    try {
      await send(bodyOf(values, this.#model()));
    } finally {
      this.#isSending = false;
      this.#submit.removeAttribute("aria-disabled");
    }
  }

  /** What somebody was quick enough to type before the catalog arrived, perhaps before this script was listening. */
  #typedMeanwhile(): Partial<FormValues> {
    const typed = NAMES.map((name) => [name, this.#control(name)] as const).filter(
      ([, control]) => !(control instanceof HTMLSelectElement) && control.value !== control.defaultValue,
    );
    return Object.fromEntries(typed.map(([name, control]) => [name, control.value]));
  }

  #edited(control: Element): void {
    const range = control instanceof HTMLElement ? control.dataset.rangeFor : undefined;
    const name = (range ?? control.getAttribute("name") ?? "") as FieldName;
    if (range !== undefined) this.#control(name).value = (control as HTMLInputElement).value;
    if (name === "model") {
      this.#showModel();
      this.fill(defaultsOf(this.#model()));
    }
    if (NAMES.includes(name)) this.#showError(name, "");
    this.#follow();
  }

  /** Everything on the form that only mirrors its fields. */
  #follow(): void {
    const values = this.#values();
    for (const range of this.#form.querySelectorAll<HTMLInputElement>("[data-range-for]"))
      range.value = this.#control(range.dataset.rangeFor as FieldName).value;
    markShape(values.width, values.height);
    say(byId("settings-brief", HTMLElement), `${values.width} × ${values.height}, ${values.steps} steps`);
    remember(values);
    if (this.#models.length === 0) return;
    const isComplete = Object.keys(problemsOf(values, this.#model())).length === 0;
    this.#warnings.edited(isComplete ? bodyOf(values, this.#model()) : null);
  }

  #showModel(): void {
    const model = this.#model();
    const { limits } = model;
    say(byId("model-hint", HTMLElement), modelHint(model));
    for (const name of NAMES) found(this.#form, `[data-field="${name}"]`, HTMLElement).hidden = !hasEffect(name, model);
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
    showShapes(shapesOf(model), ({ width, height }) => { this.fill({ width: String(width), height: String(height) }); });
  }

  #showError(name: FieldName, message: string): void {
    const id = showAtField(this.#form, name, "error", message);
    const control = this.#control(name);
    setAttribute(control, "aria-invalid", message ? "true" : null);
    setAttribute(control, "aria-describedby", message ? id : null);
  }

  #values(): FormValues {
    return Object.fromEntries(NAMES.map((name) => [name, this.#control(name).value])) as unknown as FormValues;
  }

  #model(): Model {
    const name = this.#control("model").value;
    const model = this.#models.find((candidate) => candidate.name === name) ?? this.#models[0];
    if (model === undefined) throw new Error("the catalog has not arrived");
    return model;
  }

  #control(name: FieldName): Control {
    return this.#form.elements.namedItem(name) as Control;
  }
}
