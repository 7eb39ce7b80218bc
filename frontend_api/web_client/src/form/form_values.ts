/** The form's values: validation against a model's limits, and the request body. Pure. */

import type { Model } from "@darkroom/web";

import { type FieldErrors, type FieldName, LOSSLESS_FORMAT, PICTURE_NAMES, isUsed } from "./fields";
import { parseSeed } from "../seeds";
import { loraError, parseLoras } from "./lora_field";
import { characterCount } from "./prompt_counts";

/** The text of each field, as typed. An empty seed is chosen by the service. */
export type FormValues = Readonly<Record<FieldName, string>>;

/** The accepted values of a number field, both ends included. */
export interface Range {
  readonly low: number;
  readonly high: number;
  /** Values are multiples of it; null: any number. */
  readonly multiple: number | null;
}

const NUMBER_FIELDS = ["steps", "guidance_scale", "width", "height", "num_images", "strength", "control_scale", "reference_scale", "output_quality"] as const;
const STRENGTH = { low: 0.05, high: 1, multiple: null, usual: 0.8 };
const QUALITY = { low: 1, high: 100, multiple: 1 };
const CONTROL_SCALE = { low: 0, high: 2, multiple: null, usual: 1 };
const REFERENCE_SCALE = { ...CONTROL_SCALE, usual: 0.6 };
/** The fields that change a picture, by the picture's field. */
const FIELDS_OF_PICTURES = {
  image: ["mask_image", "strength"],
  control_image: ["controlnet", "control_scale"],
  reference_image: ["ip_adapter", "reference_scale"],
} as const;
const PICTURES_WITH_FIELDS = ["image", "control_image", "reference_image"] as const;
export type NumberField = (typeof NUMBER_FIELDS)[number];

/** The ranges of the model's number fields, without fields that the model does not use. */
export function rangesOf(model: Model): [NumberField, Range][] {
  const { limits } = model;
  const side = { low: limits.min_side, high: limits.max_side, multiple: limits.side_multiple };
  const ranges: Record<NumberField, Range> = {
    steps: { low: limits.min_steps, high: limits.max_steps, multiple: 1 },
    guidance_scale: { low: limits.min_guidance_scale, high: limits.max_guidance_scale, multiple: null },
    width: side,
    height: side,
    num_images: { low: 1, high: limits.max_images, multiple: 1 },
    strength: STRENGTH,
    control_scale: CONTROL_SCALE,
    reference_scale: REFERENCE_SCALE,
    output_quality: QUALITY,
  };
  return NUMBER_FIELDS.filter((name) => isUsed(name, model)).map((name) => [name, ranges[name]]);
}

/** "1 to 8", "256 to 1536 in multiples of 16". */
export function rangeText({ low, high, multiple }: Range): string {
  return `${low} to ${high}${multiple !== null && multiple > 1 ? ` in multiples of ${multiple}` : ""}`;
}

/** The accepted value next to this number. */
export function fitted(value: number, { low, high, multiple }: Range): number {
  if (multiple === null) return Math.min(high, Math.max(low, value));
  const nearest = Math.round(value / multiple);
  return Math.min(Math.floor(high / multiple), Math.max(Math.ceil(low / multiple), nearest)) * multiple;
}

/** The typed number; NaN for anything else. */
export function numberOf(typed: string): number {
  return typed.trim() === "" ? Number.NaN : Number(typed);
}

/** Whether a field is used with these values: some fields need a picture, or a format with a quality. */
export function isUsedWith(values: Pick<FormValues, (typeof PICTURES_WITH_FIELDS)[number] | "output_format">, name: FieldName, model: Model): boolean {
  if (name === "output_quality" && values.output_format === LOSSLESS_FORMAT) return false;
  const needed = PICTURES_WITH_FIELDS.find((picture) => (FIELDS_OF_PICTURES[picture] as readonly string[]).includes(name));
  return isUsed(name, model) && (needed === undefined || values[needed] !== "");
}

export function validationErrors(values: FormValues, model: Model): FieldErrors {
  const { limits } = model;
  const errors: FieldErrors = {};
  if (values.prompt.trim() === "") errors.prompt = "Enter a prompt.";
  for (const name of ["prompt", "negative_prompt"] as const) {
    // Count code points, as the API does: an emoji is one character.
    const excess = characterCount(values[name]) - limits.max_prompt_characters;
    if (excess > 0 && isUsed(name, model))
      errors[name] = `Must be at most ${limits.max_prompt_characters} characters (${excess} too many).`;
  }
  for (const [name, { low, high, multiple }] of rangesOf(model)) {
    // Without a quality the service chooses that of the format.
    if (!isUsedWith(values, name, model) || (name === "output_quality" && values[name].trim() === "")) continue;
    const value = numberOf(values[name]);
    if (!(value >= low && value <= high)) errors[name] = `Must be between ${low} and ${high}.`;
    else if (multiple !== null && value % multiple !== 0)
      errors[name] = multiple === 1 ? "Must be a whole number." : `Must be a multiple of ${multiple}.`;
  }
  if (values.seed.trim() !== "" && parseSeed(values.seed) === null)
    errors.seed = "Must be a whole number from 0 to 9223372036854775807, or empty for a random seed.";
  if (!model.samplers.includes(values.sampler)) errors.sampler = "Not available for this model.";
  if (!model.output_formats.includes(values.output_format)) errors.output_format = "Not available for this model.";
  if (isUsed("prompt_syntax", model) && !model.prompt_syntaxes.includes(values.prompt_syntax))
    errors.prompt_syntax = "Not available for this model.";
  for (const [name, input] of [["image", "image"], ["mask_image", "mask"]] as const)
    if (values[name] === "" && isUsedWith(values, name, model) && (model.traits.required_inputs ?? []).includes(input))
      errors[name] = `This model needs a ${input === "mask" ? "mask" : "picture"}.`;
  for (const [name, offered] of [["controlnet", model.controlnets], ["ip_adapter", model.ip_adapters]] as const)
    if (isUsedWith(values, name, model) && !offered.some((each) => each.name === values[name])) errors[name] = "Not available for this model.";
  const problem = isUsed("loras", model) ? loraError(parseLoras(values.loras), model.loras) : "";
  if (problem !== "") errors.loras = problem;
  return errors;
}

/** Build the body of `POST /v1/tasks` from valid values, without fields that the model does not use. */
export function bodyOf(values: FormValues, model: Model): string {
  const negative = isUsed("negative_prompt", model) ? values.negative_prompt.trim() : "";
  const seed = parseSeed(values.seed);
  const fields = {
    prompt: values.prompt.trim(),
    ...(negative === "" ? {} : { negative_prompt: negative }),
    ...(isUsed("prompt_syntax", model) ? { prompt_syntax: values.prompt_syntax } : {}),
    model: values.model,
    steps: Number(values.steps),
    ...(isUsed("guidance_scale", model) ? { guidance_scale: Number(values.guidance_scale) } : {}),
    sampler: values.sampler,
    width: Number(values.width),
    height: Number(values.height),
    num_images: Number(values.num_images),
    output_format: values.output_format,
    ...(seed === null ? {} : { seed }),
    ...Object.fromEntries(PICTURE_NAMES.filter((name) => values[name] !== "" && isUsedWith(values, name, model)).map((name) => [name, values[name]])),
    ...(values.loras !== "" && isUsed("loras", model) ? { loras: parseLoras(values.loras) } : {}),
    ...(isUsedWith(values, "output_quality", model) && values.output_quality.trim() !== "" ? { output_quality: Number(values.output_quality) } : {}),
    ...(values.metadata === defaultsOf(model).metadata ? {} : { metadata: values.metadata }),
    ...(isUsedWith(values, "strength", model) ? { strength: Number(values.strength) } : {}),
    ...(isUsedWith(values, "controlnet", model) ? { controlnet: values.controlnet, control_scale: Number(values.control_scale) } : {}),
    ...(isUsedWith(values, "ip_adapter", model) ? { ip_adapter: values.ip_adapter, reference_scale: Number(values.reference_scale) } : {}),
  };
  return JSON.stringify(fields);
}

/** The model's default values. */
export function defaultsOf(model: Model): Omit<FormValues, "prompt" | "seed"> {
  const { defaults } = model;
  return {
    negative_prompt: defaults.negative_prompt ?? "",
    prompt_syntax: defaults.prompt_syntax ?? "plain",
    model: model.name,
    steps: String(defaults.steps),
    guidance_scale: String(defaults.guidance_scale),
    sampler: defaults.sampler,
    width: String(defaults.width),
    height: String(defaults.height),
    num_images: String(defaults.num_images),
    output_format: defaults.output_format,
    image: "",
    mask_image: "",
    loras: "",
    strength: String(STRENGTH.usual),
    control_image: "",
    controlnet: model.controlnets[0]?.name ?? "",
    control_scale: String(CONTROL_SCALE.usual),
    reference_image: "",
    ip_adapter: model.ip_adapters[0]?.name ?? "",
    reference_scale: String(REFERENCE_SCALE.usual),
    output_quality: "",
    metadata: defaults.metadata ?? "full",
  };
}
