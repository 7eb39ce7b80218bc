/** The parts of the form that depend on the chosen model: options, ranges, hidden fields and the texts about it. */

import type { Model } from "@darkroom/web";

import { FIELD_NAMES, type FieldName, isUsed } from "./fields";
import { byId, find, setAttribute, setText } from "../dom";
import { promptSyntaxTitle, samplerTitle } from "../formatting";
import { showAspectRatios } from "./aspect_ratios";
import { modelFacts, modelHint } from "./field_messages";
import { type FormValues, rangeText, rangesOf } from "./form_values";
import { showImageCounts } from "./image_counts";
import { sizesOf } from "./sizes";

/** Show the fields, options and ranges of a model. */
export function showModelControls(form: HTMLFormElement, model: Model, onChoose: (values: Partial<FormValues>) => void): void {
  showModelTexts(model);
  for (const name of FIELD_NAMES) find(form, `[data-field="${name}"]`, HTMLElement).hidden = !isUsed(name, model);
  for (const [name, range] of rangesOf(model)) {
    for (const control of form.querySelectorAll(`#${name}, [data-range-for="${name}"]`)) {
      setAttribute(control, "min", range.low);
      setAttribute(control, "max", range.high);
      if (range.multiple !== null) setAttribute(control, "step", range.multiple);
    }
    const hint = document.getElementById(name === "width" ? "size-range" : `${name}-range`);
    if (hint !== null) setText(hint, rangeText(range));
  }
  showOptions(form, "sampler", model.samplers, samplerTitle);
  showOptions(form, "output_format", model.output_formats, (format) => format.toUpperCase());
  showOptions(form, "prompt_syntax", model.prompt_syntaxes, promptSyntaxTitle);
  for (const [field, weights] of [["controlnet", model.controlnets], ["ip_adapter", model.ip_adapters]] as const) {
    const titles = new Map(weights.map(({ name, title }) => [name, title || name]));
    showOptions(form, field, [...titles.keys()], (name) => titles.get(name) ?? name);
  }
  showAspectRatios(sizesOf(model), ({ width, height }) => { onChoose({ width: String(width), height: String(height) }); });
  showImageCounts(model.limits.max_images, (count) => { onChoose({ num_images: count }); });
}

/** Update the texts about a model, whose workers may change. */
export function showModelTexts(model: Model): void {
  setText(byId("model-hint", HTMLElement), modelHint(model));
  setText(byId("model-facts", HTMLElement), modelFacts(model));
}

function showOptions(form: HTMLFormElement, name: FieldName, values: readonly string[], title: (value: string) => string): void {
  find(form, `#${name}`, HTMLSelectElement).replaceChildren(...values.map((value) => new Option(title(value), value)));
}
