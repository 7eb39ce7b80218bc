/** The form's values: validation against a model's limits, and the request body. Pure. */

import { type FieldErrors, type Model, isUsed } from "../catalog";
import { jsonWithSeed, parseSeed } from "../seeds";

/** The text of each field, as typed. */
export interface FormValues {
  readonly prompt: string;
  readonly negative_prompt: string;
  readonly model: string;
  readonly steps: string;
  readonly guidance_scale: string;
  /** Empty: the service chooses a random seed. */
  readonly seed: string;
  readonly sampler: string;
  readonly width: string;
  readonly height: string;
  readonly num_images: string;
  readonly output_format: string;
}

export function validationErrors(values: FormValues, model: Model): FieldErrors {
  const { limits } = model;
  const errors: FieldErrors = {};
  if (values.prompt.trim() === "") errors.prompt = "Enter a prompt.";
  for (const name of ["prompt", "negative_prompt"] as const) {
    // Count code points, as the API does: an emoji is one character.
    const excess = Array.from(values[name].trim()).length - limits.max_prompt_characters;
    if (excess > 0) errors[name] = `Must be at most ${limits.max_prompt_characters} characters (${excess} too many).`;
  }
  const checkRange = (name: "steps" | "guidance_scale" | "width" | "height" | "num_images", low: number, high: number) => {
    const value = values[name].trim() === "" ? Number.NaN : Number(values[name]);
    const isWhole = name === "guidance_scale" || Number.isInteger(value);
    if (!(value >= low && value <= high)) errors[name] = `Must be between ${low} and ${high}.`;
    else if (!isWhole) errors[name] = "Must be a whole number.";
  };
  checkRange("steps", limits.min_steps, limits.max_steps);
  if (isUsed("guidance_scale", model))
    checkRange("guidance_scale", limits.min_guidance_scale, limits.max_guidance_scale);
  checkRange("num_images", 1, limits.max_images);
  for (const side of ["width", "height"] as const) {
    checkRange(side, limits.min_side, limits.max_side);
    if (!errors[side] && Number(values[side]) % limits.side_multiple !== 0)
      errors[side] = `Must be a multiple of ${limits.side_multiple}.`;
  }
  if (values.seed.trim() !== "" && parseSeed(values.seed) === null)
    errors.seed = "Must be a whole number from 0 to 9223372036854775807, or empty for a random seed.";
  if (!model.samplers.includes(values.sampler)) errors.sampler = "Not available for this model.";
  if (!model.output_formats.includes(values.output_format)) errors.output_format = "Not available for this model.";
  return errors;
}

/** Build the body of `POST /v1/tasks` from valid values, without fields that the model does not use. */
export function bodyOf(values: FormValues, model: Model): string {
  const negative = isUsed("negative_prompt", model) ? values.negative_prompt.trim() : "";
  const fields = {
    prompt: values.prompt.trim(),
    ...(negative === "" ? {} : { negative_prompt: negative }),
    model: values.model,
    steps: Number(values.steps),
    ...(isUsed("guidance_scale", model) ? { guidance_scale: Number(values.guidance_scale) } : {}),
    sampler: values.sampler,
    width: Number(values.width),
    height: Number(values.height),
    num_images: Number(values.num_images),
    output_format: values.output_format,
  };
  return jsonWithSeed(fields, parseSeed(values.seed));
}

/** The model's default values. */
export function defaultsOf(model: Model): Omit<FormValues, "prompt" | "seed"> {
  const { defaults } = model;
  return {
    negative_prompt: defaults.negative_prompt ?? "",
    model: model.name,
    steps: String(defaults.steps),
    guidance_scale: String(defaults.guidance_scale),
    sampler: defaults.sampler,
    width: String(defaults.width),
    height: String(defaults.height),
    num_images: String(defaults.num_images),
    output_format: defaults.output_format,
  };
}

export interface Size {
  readonly name: string;
  readonly width: number;
  readonly height: number;
}

/** Square, portrait and landscape sizes within the model's limits, near its default area. */
export function sizesOf(model: Model): Size[] {
  const { limits, defaults } = model;
  const area = defaults.width * defaults.height;
  const fit = (side: number) => {
    const multiple = Math.round(side / limits.side_multiple) * limits.side_multiple;
    return Math.min(limits.max_side, Math.max(limits.min_side, multiple));
  };
  const square = fit(Math.sqrt(area));
  const short = fit(Math.sqrt((area * 3) / 4));
  const long = fit(Math.sqrt((area * 4) / 3));
  const squareOnly = [{ name: "Square", width: square, height: square }];
  if (short === long) return squareOnly;
  return [...squareOnly, { name: "Portrait", width: short, height: long }, { name: "Landscape", width: long, height: short }];
}
