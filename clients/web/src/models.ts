/** The available models, as `GET /v1/models` returns them. */

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
  /** Missing: `plain`. */
  readonly prompt_syntax?: string;
  /** Missing: `full`. */
  readonly metadata?: string;
}

export interface ModelTraits {
  readonly guidance: "classifier_free" | "embedded" | "none";
  readonly negative_prompt: boolean;
  /** The inputs besides the text that every task needs; missing: none. */
  readonly required_inputs?: readonly string[];
  /** Whether `strength` has an effect; missing: it has. */
  readonly strength?: boolean;
}

/** Additional weights that a task can choose. */
export interface Lora {
  readonly name: string;
  readonly title: string;
  /** Words that the prompt should contain; empty: none. */
  readonly trigger: string;
  readonly scale: number;
  readonly min_scale: number;
  readonly max_scale: number;
}

/** A network that steers the image by a control image, or an IP-Adapter, which reads a reference picture. */
export interface SteeringWeights {
  readonly name: string;
  readonly title: string;
}

export interface Model {
  readonly name: string;
  readonly title: string;
  readonly description: string;
  /** Whether images of different tasks share denoising steps; if not, images are generated one at a time. */
  readonly shares_steps: boolean;
  /** What an image can be generated from: `text`, `image`, `mask`, `control`, `reference`. */
  readonly inputs: readonly string[];
  readonly loras: readonly Lora[];
  readonly controlnets: readonly SteeringWeights[];
  readonly ip_adapters: readonly SteeringWeights[];
  /** How the model can read prompts: `plain`, and `weighted` where it reads weights such as `(word:1.3)`. */
  readonly prompt_syntaxes: readonly string[];
  /** Maximum number of prompt tokens, without begin and end tokens; null or missing: unknown. */
  readonly max_prompt_tokens?: number | null;
  readonly traits: ModelTraits;
  readonly limits: ModelLimits;
  readonly defaults: ModelDefaults;
  readonly samplers: readonly string[];
  readonly output_formats: readonly string[];
  /** The model's example picture, whose URL `exampleSource` returns; null or missing: none. */
  readonly example?: { readonly prompt: string } | null;
  /** Median duration of a task with default parameters that does not wait; null or missing: unknown. */
  readonly typical_seconds?: number | null;
  /** Whether a live worker serves the model; null or missing: unknown. */
  readonly served?: boolean | null;
  /** Number of live workers that serve the model; null or missing: unknown. */
  readonly workers?: number | null;
}
