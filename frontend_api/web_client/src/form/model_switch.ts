/** The form's values after another model is chosen. Pure. */

import type { Model } from "@darkroom/web";

import type { FieldErrors } from "./fields";
import { samplerTitle } from "../formatting";
import { loraError, lorasText, parseLoras } from "./lora_field";
import { type FormValues, defaultsOf, fitted, numberOf, rangeText, rangesOf } from "./form_values";
import { sizesOf } from "./sizes";

/** The values that the user chose; fields that are missing here have the model's defaults. */
export type ChosenValues = Partial<Omit<FormValues, "model">>;

export interface SwitchedValues {
  readonly values: Partial<FormValues>;
  /** The chosen values for the next switch: a chosen aspect ratio has the new model's size. */
  readonly chosen: ChosenValues;
  /** Why fields do not have the chosen values. */
  readonly notes: FieldErrors;
}

/**
 * Keep the chosen values that the model `to` accepts, and adapt the others.
 *
 * `chosen` keeps what was adapted, so that a switch back restores it.
 */
export function switchedValues(chosen: ChosenValues, from: Model, to: Model): SwitchedValues {
  const size = sizeFor(chosen, from, to);
  const kept = { ...chosen, ...size?.values };
  const defaults = defaultsOf(to);
  const values = { ...defaults, ...kept };
  const notes: FieldErrors = size === null ? {} : { width: size.note };
  for (const [name, range] of rangesOf(to)) {
    const typed = kept[name];
    if (typed === undefined) continue;
    const number = numberOf(typed);
    if (Number.isNaN(number)) {
      values[name] = defaults[name];
      continue;
    }
    const nearest = fitted(number, range);
    if (nearest === number) continue;
    values[name] = String(nearest);
    notes[name] = `Changed from ${typed}: this model accepts ${rangeText(range)}.`;
  }
  if (!to.samplers.includes(values.sampler)) {
    notes.sampler = `Changed from ${samplerTitle(values.sampler)}: not supported by this model.`;
    values.sampler = defaults.sampler;
  }
  if (!to.output_formats.includes(values.output_format)) {
    notes.output_format = `Changed from ${values.output_format.toUpperCase()}: not supported by this model.`;
    values.output_format = defaults.output_format;
  }
  if (!to.prompt_syntaxes.includes(values.prompt_syntax)) {
    notes.prompt = "This model reads weights such as (word:1.3) literally.";
    values.prompt_syntax = defaults.prompt_syntax;
  }
  for (const [field, offered] of [["controlnet", to.controlnets], ["ip_adapter", to.ip_adapters]] as const)
    if (!offered.some(({ name }) => name === values[field])) values[field] = defaults[field];
  const loras = parseLoras(values.loras);
  const offered = loras.filter((choice) => loraError([choice], to.loras) === "");
  if (offered.length < loras.length) {
    values.loras = lorasText(offered);
    notes.loras = "Some LoRAs were removed: not supported by this model.";
  }
  return { values, chosen: kept, notes };
}

/** The new model's size with the aspect ratio that the user chose; null if the user chose none. */
function sizeFor({ width, height }: ChosenValues, from: Model, to: Model) {
  const isSame = (size: { width: number; height: number }) => `${size.width}x${size.height}` === `${width}x${height}`;
  const name = sizesOf(from).find(isSame)?.name;
  const size = sizesOf(to).find((candidate) => candidate.name === name);
  if (name === undefined || size === undefined || isSame(size)) return null;
  return {
    values: { width: String(size.width), height: String(size.height) },
    note: `Changed from ${width} × ${height} to this model's size of ${name}.`,
  };
}
