/** The models on offer, as `GET /v1/models` tells them. */

export interface ModelLimits {
  readonly min_steps: number;
  readonly max_steps: number;
  readonly min_guidance_scale: number;
  readonly max_guidance_scale: number;
  readonly min_side: number;
  readonly max_side: number;
  readonly side_multiple: number;
  readonly max_images: number;
  readonly max_prompt_characters: number;
}

export interface ModelDefaults {
  readonly steps: number;
  readonly guidance_scale: number;
  readonly sampler: string;
  readonly width: number;
  readonly height: number;
  readonly num_images: number;
  readonly output_format: string;
  readonly negative_prompt: string | null;
}

/** Which parameters have an effect on the model. */
export interface ModelTraits {
  readonly guidance: "classifier_free" | "embedded" | "none";
  readonly negative_prompt: boolean;
}

export interface Model {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Without begin and end tokens; null or missing: unknown. */
  readonly max_prompt_tokens?: number | null;
  readonly traits: ModelTraits;
  readonly limits: ModelLimits;
  readonly defaults: ModelDefaults;
  readonly samplers: readonly string[];
  readonly output_formats: readonly string[];
}

export type FieldName =
  | "prompt"
  | "negative_prompt"
  | "model"
  | "steps"
  | "guidance_scale"
  | "seed"
  | "sampler"
  | "width"
  | "height"
  | "num_images"
  | "output_format";

/** Whether a field has an effect on the model. The API refuses those that have none. */
export function hasEffect(name: FieldName, { traits }: Model): boolean {
  if (name === "negative_prompt") return traits.negative_prompt;
  return name !== "guidance_scale" || traits.guidance !== "none";
}

export type FieldErrors = Partial<Record<FieldName, string>>;
