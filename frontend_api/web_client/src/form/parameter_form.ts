/** The form for new tasks: the chosen model and values, and the errors at their fields. */

import type { Estimate, Model, Seed } from "@darkroom/web";

import { announce } from "../announcer";
import { FIELD_NAMES, type FieldErrors, type FieldName, PICTURE_NAMES, isUsed } from "./fields";
import { byId, setText } from "../dom";
import { checkAspectRatio } from "./aspect_ratios";
import { loadDraft, saveDraft } from "./draft";
import { FormEstimate, estimateText, promptTokens, warningsByField } from "./estimate";
import { FormMessage } from "./form_message";
import { modelLabel } from "./field_messages";
import { FormFields } from "./form_fields";
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

/** The cause of the message that a picture is being uploaded. */
const UPLOADING = "uploading";

export class ParameterForm {
  readonly #form = byId("form", HTMLFormElement);
  readonly #submit = byId("submit", HTMLButtonElement);
  readonly message = new FormMessage();
  readonly #settings = byId("settings", HTMLDetailsElement);
  readonly #fields = new FormFields(this.#form, this.#settings);
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
      this.#fields.showMessages("warning", warningsByField(estimate?.warnings ?? []));
      setText(byId("estimate", HTMLElement), estimateText(estimate ?? {}));
      this.#promptCount.setTokens(promptTokens(estimate?.warnings ?? []));
    });
    this.#pictures = new PictureFields(this.#form, pictures, {
      onChange: (name) => { this.#onChange(name); },
      showMessage: (kind, name, message) => {
        this.#fields.showMessage(kind, name, message);
        this.#settleUploads();
      },
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
      const { width, height } = this.#fields.values();
      this.fill({ width: height, height: width });
      announce(`Width ${height}, height ${width}`);
    });
    byId("reset", HTMLButtonElement).addEventListener("click", () => {
      this.#chosen = { prompt: this.#fields.control("prompt").value };
      this.#pictures.abandonUploads(PICTURE_NAMES);
      this.#showValues({ ...defaultsOf(this.#model()), seed: "" });
      announce("All settings are the defaults of the model.");
    });
  }

  /** Set the available models. The first call fills and enables the form; later calls update the models' texts. */
  setModels(models: readonly Model[]): void {
    this.#models = models;
    const menu = this.#fields.control("model") as HTMLSelectElement;
    if (this.#shown !== null) {
      const labels = new Map(models.map((model) => [model.name, modelLabel(model)]));
      for (const option of menu.options) setText(option, labels.get(option.value) ?? option.text);
      showModelTexts(this.#model());
      return;
    }
    const typed = this.#fields.typedValues();
    menu.replaceChildren(...models.map((model) => new Option(modelLabel(model), model.name)));
    const { model, ...draft } = loadDraft(this.userId());
    this.#chosen = { ...draft, ...this.#chosen, ...typed };
    this.#showModel(this.#modelNamed(model));
    // Do not adapt values that the user typed meanwhile: the submission shows their errors.
    this.#showValues(typed);
    this.#submit.disabled = false;
  }

  /** Set fields, as if the user had typed the values. Values that the model does not accept are adapted. */
  fill({ model, ...values }: Partial<FormValues>): void {
    // A mask belongs to one picture.
    if (values.image !== undefined) values = { mask_image: "", ...values };
    this.#pictures.abandonUploads(PICTURE_NAMES.filter((name) => values[name] !== undefined));
    this.#chosen = { ...this.#chosen, ...values };
    if (model === undefined) this.#showValues(values);
    else {
      const shown = this.#modelNamed(model);
      this.#showModel(shown, shown);
    }
  }

  focusField(name: FieldName): void {
    this.#fields.focus(name);
  }

  /** The number of images, limited to what a model permits. */
  imagesAtMost(count: number, model: string): number {
    return Math.min(count, this.#models.find(({ name }) => name === model)?.limits.max_images ?? count);
  }

  /** Whether the chosen model can start from a picture. */
  get takesPicture(): boolean {
    return this.#models.length > 0 && isUsed("image", this.#model());
  }

  /** Start from this picture. Return whether the form does so; lead to the error at its field if the upload failed. */
  async usePicture(picture: Blob): Promise<boolean> {
    this.#settings.open = true;
    const result = await this.#pictures.startFrom(picture);
    if (result !== "failed") return result === "used";
    this.message.startCounting(this.#fields.errorCount);
    this.#fields.leadTo("image");
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
    this.#fields.showMessages("error", errors);
    this.message.startCounting(this.#fields.errorCount);
    const first = FIELD_NAMES.find((name) => errors[name]);
    if (first !== undefined) this.#fields.leadTo(first);
  }

  async #onSubmit(send: (body: string) => Promise<void>): Promise<void> {
    if (this.#isSending) return;
    if (this.#models.length === 0) {
      this.message.show("The models are loading. Submit again in a moment.");
      return;
    }
    if (this.#pictures.areUploading) {
      this.message.show("A picture is being uploaded. Submit again when the form shows it.", false, UPLOADING);
      return;
    }
    const values = this.#fields.values();
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

  #onInput(control: Element): void {
    const range = control instanceof HTMLElement ? control.dataset.rangeFor : undefined;
    const name = FIELD_NAMES.find((field) => field === (range ?? control.getAttribute("name")));
    if (name === undefined) return;
    if (range !== undefined) this.#fields.control(name).value = (control as HTMLInputElement).value;
    if (name === "model") {
      this.#showModel(this.#model());
      return;
    }
    this.#onChange(name);
  }

  /** The user changed a field. */
  #onChange(name: FieldName): void {
    this.#chosen = { ...this.#chosen, [name]: this.#fields.control(name).value };
    for (const kind of ["error", "note"] as const) this.#fields.showMessage(kind, name, "");
    this.message.updateCount(this.#fields.errorCount);
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
      this.#fields.control(name).value = value;
      if (name === "loras") this.#showLoras();
      this.#fields.showMessage("error", name, "");
      this.#fields.showMessage("note", name, notes[name] ?? "");
    }
    this.message.updateCount(this.#fields.errorCount);
    this.#update();
  }

  #settleUploads(): void {
    if (!this.#pictures.areUploading) this.message.settle(UPLOADING);
  }

  #showLoras(): void {
    const control = this.#fields.control("loras");
    showLoras(this.#models.length === 0 ? [] : this.#model().loras, control.value, (value) => {
      control.value = value;
      this.#onChange("loras");
    });
  }

  /** Update everything that depends on the values of the fields. */
  #update(): void {
    const values = this.#fields.values();
    for (const range of this.#form.querySelectorAll<HTMLInputElement>("[data-range-for]"))
      range.value = this.#fields.control(range.dataset.rangeFor as FieldName).value;
    checkAspectRatio(values.width, values.height);
    checkImageCount(values.num_images);
    this.#seedButtons.show(values.seed);
    setText(byId("settings-brief", HTMLElement), `${values.width} × ${values.height}, ${values.steps} steps`);
    if (this.#models.length === 0) return;
    for (const name of ["mask_image", "strength", "controlnet", "control_scale", "ip_adapter", "reference_scale", "output_quality"] as const) this.#fields.field(name).hidden = !isUsedWith(values, name, this.#model());
    this.#pictures.refresh();
    this.#settleUploads();
    this.#promptCount.show(values.prompt, values.prompt_syntax, this.#model());
    saveDraft(this.userId(), { ...this.#chosen, model: values.model });
    const isValid = Object.keys(validationErrors(values, this.#model())).length === 0;
    this.estimate.onEdit(isValid ? bodyOf(values, this.#model()) : null);
  }

  #model(): Model {
    return this.#modelNamed(this.#fields.control("model").value);
  }

  /** The model with this name; if it is not available, the shown one or the first one. */
  #modelNamed(name: string | undefined): Model {
    const model = this.#models.find((candidate) => candidate.name === name) ?? this.#shown ?? this.#models[0];
    if (model === undefined) throw new Error("The models are not loaded.");
    return model;
  }
}
