/** What the form holds, whether a model accepts it, and the body it becomes. Pure; limits come from the model. */

import { type FieldErrors, type Model, hasEffect } from "./catalog";
import { jsonWithSeed, parsedSeed } from "./seeds";

/** Fields as they were typed: text, so that nothing is lost between the field and the message about it. */
export interface FormValues {
  readonly prompt: string;
  readonly negative_prompt: string;
  readonly model: string;
  readonly steps: string;
  readonly guidance_scale: string;
  /** Empty: the service draws one. */
  readonly seed: string;
  readonly sampler: string;
  readonly width: string;
  readonly height: string;
  readonly num_images: string;
  readonly output_format: string;
}

export function problemsOf(values: FormValues, model: Model): FieldErrors {
  const { limits } = model;
  const errors: FieldErrors = {};
  if (values.prompt.trim() === "") errors.prompt = "Say what to draw.";
  for (const name of ["prompt", "negative_prompt"] as const) {
    // Characters as Python counts them, code points: an emoji is one.
    const excess = Array.from(values[name].trim()).length - limits.max_prompt_characters;
    if (excess > 0) errors[name] = `Too long by ${excess} characters.`;
  }
  const within = (name: "steps" | "guidance_scale" | "width" | "height" | "num_images", low: number, high: number) => {
    const value = values[name].trim() === "" ? Number.NaN : Number(values[name]);
    const isWhole = name === "guidance_scale" || Number.isInteger(value);
    if (!(value >= low && value <= high)) errors[name] = `Between ${low} and ${high}.`;
    else if (!isWhole) errors[name] = "A whole number.";
  };
  within("steps", limits.min_steps, limits.max_steps);
  if (hasEffect("guidance_scale", model))
    within("guidance_scale", limits.min_guidance_scale, limits.max_guidance_scale);
  within("num_images", 1, limits.max_images);
  for (const side of ["width", "height"] as const) {
    within(side, limits.min_side, limits.max_side);
    if (!errors[side] && Number(values[side]) % limits.side_multiple !== 0)
      errors[side] = `A multiple of ${limits.side_multiple}.`;
  }
  if (values.seed.trim() !== "" && parsedSeed(values.seed) === null)
    errors.seed = "A whole number up to 9223372036854775807, or nothing.";
  if (!model.samplers.includes(values.sampler)) errors.sampler = "Not offered by this model.";
  if (!model.output_formats.includes(values.output_format)) errors.output_format = "Not offered by this model.";
  return errors;
}

/** The body of `POST /v1/tasks`, without fields that have no effect. Call it with values that have no problems. */
export function bodyOf(values: FormValues, model: Model): string {
  const negative = hasEffect("negative_prompt", model) ? values.negative_prompt.trim() : "";
  const fields = {
    prompt: values.prompt.trim(),
    ...(negative === "" ? {} : { negative_prompt: negative }),
    model: values.model,
    steps: Number(values.steps),
    ...(hasEffect("guidance_scale", model) ? { guidance_scale: Number(values.guidance_scale) } : {}),
    sampler: values.sampler,
    width: Number(values.width),
    height: Number(values.height),
    num_images: Number(values.num_images),
    output_format: values.output_format,
  };
  return jsonWithSeed(fields, parsedSeed(values.seed));
}

/** What a model assumes, as field contents. */
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

export interface Shape {
  readonly name: string;
  readonly width: number;
  readonly height: number;
}

/** Square, portrait and landscape sizes near the model's own area that keep its limits. */
export function shapesOf(model: Model): Shape[] {
  const { limits, defaults } = model;
  const area = defaults.width * defaults.height;
  const fitted = (side: number) => {
    const multiple = Math.round(side / limits.side_multiple) * limits.side_multiple;
    return Math.min(limits.max_side, Math.max(limits.min_side, multiple));
  };
  const square = fitted(Math.sqrt(area));
  const short = fitted(Math.sqrt((area * 3) / 4));
  const long = fitted(Math.sqrt((area * 4) / 3));
  const shapes = [{ name: "Square", width: square, height: square }];
  if (short === long) return shapes;
  return [...shapes, { name: "Portrait", width: short, height: long }, { name: "Landscape", width: long, height: short }];
}
