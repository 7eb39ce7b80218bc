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

export interface Model {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Without begin and end tokens; null or missing: unknown. */
  readonly max_prompt_tokens?: number | null;
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

export type FieldErrors = Partial<Record<FieldName, string>>;
