/** The form for new tasks: the chosen model and values, and the errors at their fields. */

import type { Estimate, Model, Seed } from "@darkroom/web";

import { announce } from "../announcer";
import { FIELD_NAMES, type FieldErrors, type FieldName, isUsed } from "./fields";
import { byId, find, setText } from "../dom";
import { checkAspectRatio } from "./aspect_ratios";
import { loadDraft, saveDraft } from "./draft";
import { FormEstimate, estimateText, promptTokens, warningsByField } from "./estimate";
import { FormMessage } from "./form_message";
import { type MessageKind, controlOf, modelLabel, showAtField } from "./field_messages";
import { type FormValues, bodyOf, defaultsOf, isUsedWith, validationErrors } from "./form_values";
import { checkImageCount } from "./image_counts";
import { showLoras } from "./lora_field";
import { showModelControls, showModelTexts } from "./model_controls";
import { type ChosenValues, switchedValues } from "./model_switch";
import type { PictureStore } from "./picture_field";
import { PictureFields } from "./picture_fields";
import { PromptCount } from "./prompt_counts";
import { PromptHistory } from "./prompt_history";
import { preventRepeatedSubmits } from "./repeated_submits";
import { SeedButtons } from "./seed_buttons";

type Control = HTMLInputElement | HTMLTextAreaElement | HTMLSelectElement;

export class ParameterForm {
  readonly #form = byId("form", HTMLFormElement);
  readonly #submit = byId("submit", HTMLButtonElement);
  readonly message = new FormMessage();
  readonly #settings = byId("settings", HTMLDetailsElement);
  #models: readonly Model[] = [];
  #shown: Model | null = null;
  /** The values that the user chose. They survive a change of the model. */
  #chosen: ChosenValues = {};
  #isSending = false;
  readonly estimate: FormEstimate;
  readonly #promptCount = new PromptCount();
  readonly #pictures: PictureFields;
  readonly #seedButtons = new SeedButtons((seed) => { this.fill({ seed }); });
  readonly #history = new PromptHistory(byId("prompt", HTMLTextAreaElement), (prompt) => { this.fill({ prompt }); });

  /** `send` and `requestEstimate` take the body of `POST /v1/tasks`. `send` reports its result with `show` and `message`. */
  constructor(
    send: (body: string) => Promise<void>,
    requestEstimate: (body: string) => Promise<Estimate>,
    pictures: PictureStore,
    private readonly userId: () => string,
  ) {
    this.estimate = new FormEstimate(requestEstimate, (estimate) => {
      this.#showMessages("warning", warningsByField(estimate?.warnings ?? []));
      setText(byId("estimate", HTMLElement), estimateText(estimate ?? {}));
      this.#promptCount.setTokens(promptTokens(estimate?.warnings ?? []));
    });
    this.#pictures = new PictureFields(this.#form, pictures, {
      onChange: (name) => { this.#onChange(name); },
      showMessage: (kind, name, message) => { this.#showMessage(kind, name, message); },
    });
    // Wide screens have space for the settings beside the list.
    this.#settings.open = matchMedia("(min-width: 60rem)").matches;
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      void this.#onSubmit(send);
    });
    preventRepeatedSubmits(this.#form, this.#submit, () => { this.#form.requestSubmit(); });
    this.#form.addEventListener("input", (event) => { this.#onInput(event.target as Element); });
    byId("swap-sides", HTMLButtonElement).addEventListener("click", () => {
      const { width, height } = this.#values();
      this.fill({ width: height, height: width });
      announce(`Width ${height}, height ${width}`);
    });
    byId("reset", HTMLButtonElement).addEventListener("click", () => {
      this.#chosen = { prompt: this.#control("prompt").value };
      this.#showValues({ ...defaultsOf(this.#model()), seed: "" });
      announce("All settings are the defaults of the model.");
    });
  }

  /** Set the available models. The first call fills and enables the form; later calls update the models' texts. */
  setModels(models: readonly Model[]): void {
    this.#models = models;
    const menu = this.#control("model") as HTMLSelectElement;
    if (this.#shown !== null) {
      const labels = new Map(models.map((model) => [model.name, modelLabel(model)]));
      for (const option of menu.options) setText(option, labels.get(option.value) ?? option.text);
      showModelTexts(this.#model());
      return;
    }
    const typed = this.#typedValues();
    menu.replaceChildren(...models.map((model) => new Option(modelLabel(model), model.name)));
    const { model, ...draft } = loadDraft(this.userId());
    this.#chosen = { ...draft, ...this.#chosen, ...typed };
    this.#showModel(this.#modelNamed(model));
    // Do not adapt values that the user typed meanwhile: the submission shows their errors.
    this.fill(typed);
    this.#submit.disabled = false;
  }

  /** Set fields, as if the user had typed the values. Values that the model does not accept are adapted. */
  fill({ model, ...values }: Partial<FormValues>): void {
    this.#chosen = { ...this.#chosen, ...values };
    if (model === undefined) this.#showValues(values);
    else {
      const shown = this.#modelNamed(model);
      this.#showModel(shown, shown);
    }
  }

  focusField(name: FieldName): void {
    const control = this.#control(name);
    control.focus();
    control.scrollIntoView({ block: "nearest" });
  }

  /** The number of images, limited to what a model permits. */
  imagesAtMost(count: number, model: string): number {
    return Math.min(count, this.#models.find(({ name }) => name === model)?.limits.max_images ?? count);
  }

  /** Whether the chosen model can start from a picture. */
  get takesPicture(): boolean {
    return this.#models.length > 0 && isUsed("image", this.#model());
  }

  /** Start from this picture. Return whether its upload succeeded; otherwise lead to the error at its field. */
  async usePicture(picture: Blob): Promise<boolean> {
    this.#settings.open = true;
    if (await this.#pictures.startFrom(picture)) return true;
    this.message.startCounting(this.#errorCount);
    this.#leadTo("image");
    return false;
  }

  useSeed(seed: string): void {
    this.fill({ seed });
    this.#settings.open = true;
    this.focusField("seed");
  }

  /** Set the prompts to choose from, newest first. */
  setHistory(prompts: readonly string[]): void {
    this.#history.set(prompts);
  }

  /** A task was accepted with this seed. */
  rememberSeed(seed: Seed | null): void {
    this.#seedButtons.remember(seed);
  }

  /** Show the errors at their fields and their number beside the button, and focus the first of these fields. */
  show(errors: FieldErrors): void {
    this.#showMessages("error", errors);
    this.message.startCounting(this.#errorCount);
    const first = FIELD_NAMES.find((name) => errors[name]);
    if (first !== undefined) this.#leadTo(first);
  }

  async #onSubmit(send: (body: string) => Promise<void>): Promise<void> {
    if (this.#isSending) return;
    if (this.#models.length === 0) {
      this.message.show("The models are loading. Submit again in a moment.");
      return;
    }
    const values = this.#values();
    const errors = validationErrors(values, this.#model());
    this.show(errors);
    if (Object.keys(errors).length > 0) return;
    this.#isSending = true;
    this.#submit.setAttribute("aria-disabled", "true");
    const timer = setTimeout(() => { this.message.show("Sending…"); }, 1_000);
    try {
      await send(bodyOf(values, this.#model()));
    } finally {
      clearTimeout(timer);
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
    const name = FIELD_NAMES.find((field) => field === (range ?? control.getAttribute("name")));
    if (name === undefined) return;
    if (range !== undefined) this.#control(name).value = (control as HTMLInputElement).value;
    if (name === "model") {
      this.#showModel(this.#model());
      return;
    }
    this.#onChange(name);
  }

  /** The user changed a field. */
  #onChange(name: FieldName): void {
    this.#chosen = { ...this.#chosen, [name]: this.#control(name).value };
    for (const kind of ["error", "note"] as const) this.#showMessage(kind, name, "");
    this.message.updateCount(this.#errorCount);
    this.#update();
  }

  /** Show a model, with the values that the user chose for `from` as far as it accepts them. */
  #showModel(model: Model, from = this.#shown ?? model): void {
    const { values, chosen, notes } = switchedValues(this.#chosen, from, model);
    this.#shown = model;
    this.#chosen = chosen;
    showModelControls(this.#form, model, (values) => { this.fill(values); });
    this.#showValues(values, notes);
    const changes = Object.keys(notes).length;
    if (changes > 0) announce(`${changes === 1 ? "One setting was" : `${changes} settings were`} adapted to the model.`);
  }

  /** Set these fields and their notes, and remove their errors. */
  #showValues(values: Partial<FormValues>, notes: FieldErrors = {}): void {
    for (const name of FIELD_NAMES) {
      const value = values[name];
      if (value === undefined) continue;
      this.#control(name).value = value;
      if (name === "loras") this.#showLoras();
      this.#showMessage("error", name, "");
      this.#showMessage("note", name, notes[name] ?? "");
    }
    this.message.updateCount(this.#errorCount);
    this.#update();
  }

  #showLoras(): void {
    const control = this.#control("loras");
    showLoras(this.#models.length === 0 ? [] : this.#model().loras, control.value, (value) => {
      control.value = value;
      this.#onChange("loras");
    });
  }

  /** Update everything that depends on the values of the fields. */
  #update(): void {
    const values = this.#values();
    for (const range of this.#form.querySelectorAll<HTMLInputElement>("[data-range-for]"))
      range.value = this.#control(range.dataset.rangeFor as FieldName).value;
    checkAspectRatio(values.width, values.height);
    checkImageCount(values.num_images);
    this.#seedButtons.show(values.seed);
    setText(byId("settings-brief", HTMLElement), `${values.width} × ${values.height}, ${values.steps} steps`);
    if (this.#models.length === 0) return;
    for (const name of ["mask_image", "strength", "controlnet", "control_scale", "ip_adapter", "reference_scale", "output_quality"] as const) this.#field(name).hidden = !isUsedWith(values, name, this.#model());
    this.#pictures.refresh();
    this.#promptCount.show(values.prompt, values.prompt_syntax, this.#model());
    saveDraft(this.userId(), { ...this.#chosen, model: values.model });
    const isValid = Object.keys(validationErrors(values, this.#model())).length === 0;
    this.estimate.onEdit(isValid ? bodyOf(values, this.#model()) : null);
  }

  /** Show a field with an error: the focus makes assistive technology read the error, which describes the control. */
  #leadTo(name: FieldName): void {
    const field = this.#field(name);
    const control = controlOf(field);
    if (control.closest("details")) this.#settings.open = true;
    control.focus();
    field.scrollIntoView({ block: "nearest" });
  }

  /** Fields below the fold may have errors, too: they are counted beside the button. */
  get #errorCount(): number {
    return this.#form.querySelectorAll('[aria-invalid="true"]').length;
  }

  /** Show the messages at their fields, and remove the others of this kind. */
  #showMessages(kind: MessageKind, messages: FieldErrors): void {
    for (const name of FIELD_NAMES) this.#showMessage(kind, name, messages[name] ?? "");
  }

  #showMessage(kind: MessageKind, name: FieldName, message: string): void {
    showAtField(this.#field(name), kind, message);
  }

  #values(): FormValues {
    return Object.fromEntries(FIELD_NAMES.map((name) => [name, this.#control(name).value])) as unknown as FormValues;
  }

  #model(): Model {
    return this.#modelNamed(this.#control("model").value);
  }

  /** The model with this name; if it is not available, the shown one or the first one. */
  #modelNamed(name: string | undefined): Model {
    const model = this.#models.find((candidate) => candidate.name === name) ?? this.#shown ?? this.#models[0];
    if (model === undefined) throw new Error("The models are not loaded.");
    return model;
  }

  #field(name: FieldName): HTMLElement {
    return find(this.#form, `[data-field="${name}"]`, HTMLElement);
  }

  #control(name: FieldName): Control {
    return this.#form.elements.namedItem(name) as Control;
  }
}
