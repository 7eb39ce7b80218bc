/** The fields of the form, and which of them a model uses. Pure. */

import type { Model } from "@darkroom/web";

/** The fields of the form, named as the parameters of `POST /v1/tasks`. */
export const FIELD_NAMES = [
  "prompt", "negative_prompt", "model", "steps", "guidance_scale", "seed",
  "sampler", "width", "height", "num_images", "output_format", "image", "mask_image", "strength", "loras", "prompt_syntax",
  "control_image", "controlnet", "control_scale", "reference_image", "ip_adapter", "reference_scale", "output_quality", "metadata",
] as const;
export type FieldName = (typeof FIELD_NAMES)[number];
/** The fields that contain the id of an uploaded picture. */
export const PICTURE_NAMES = ["image", "mask_image", "control_image", "reference_image"] as const;
export type PictureName = (typeof PICTURE_NAMES)[number];

/** The format without a quality: it keeps every pixel. */
export const LOSSLESS_FORMAT = "png";

/** Whether the model uses a field. The API rejects fields that the model does not use. */
export function isUsed(name: FieldName, { traits, inputs, loras, controlnets, ip_adapters, prompt_syntaxes, output_formats }: Model): boolean {
  if (name === "output_quality") return output_formats.some((format) => format !== LOSSLESS_FORMAT);
  if (name === "control_image" || name === "controlnet" || name === "control_scale") return controlnets.length > 0;
  if (name === "reference_image" || name === "ip_adapter" || name === "reference_scale") return ip_adapters.length > 0;
  if (name === "prompt_syntax") return prompt_syntaxes.length > 1;
  if (name === "loras") return loras.length > 0;
  if (name === "image") return inputs.includes("image");
  if (name === "strength") return inputs.includes("image") && traits.strength !== false;
  if (name === "mask_image") return inputs.includes("mask");
  if (name === "negative_prompt") return traits.negative_prompt;
  return name !== "guidance_scale" || traits.guidance !== "none";
}

export type FieldErrors = Partial<Record<FieldName, string>>;
