
export const DEMO: Model = {
  name: "demo",
  title: "Shapes (demo)",
  description: "",
  shares_steps: true,
  inputs: ["text"],
  loras: [],
  controlnets: [],
  ip_adapters: [],
  prompt_syntaxes: ["plain"],
  traits: { guidance: "classifier_free", negative_prompt: true },
  limits: {
    min_steps: 1,
    max_steps: 100,
    min_guidance_scale: 0,
    max_guidance_scale: 20,
    min_side: 64,
    max_side: 512,
    side_multiple: 64,
    max_images: 4,
    max_prompt_characters: 20,
  },
  defaults: {
    steps: 20,
    guidance_scale: 4,
    sampler: "ddim",
    width: 256,
    height: 256,
    num_images: 1,
    output_format: "png",
    negative_prompt: null,
  },
  samplers: ["ddim", "euler"],
  output_formats: ["png", "webp"],
};

/** A model without guidance, of few steps, with large images and only its own sampler. */

import type { Lora, Model } from "@darkroom/web";

export const SCHNELL: Model = {
  ...DEMO,
  name: "flux-schnell",
  traits: { guidance: "none", negative_prompt: false },
  limits: { ...DEMO.limits, max_steps: 8, min_side: 256, max_side: 1536, side_multiple: 16 },
  defaults: { ...DEMO.defaults, steps: 4, guidance_scale: 1, sampler: "own", width: 1024, height: 1024 },
  samplers: ["own"],
  output_formats: ["png"],
};

/** A model with control networks. */
export const CONTROLLED: Model = {
  ...DEMO,
  inputs: ["text", "control"],
  controlnets: [{ name: "edges", title: "Edges" }, { name: "depth", title: "" }],
};

/** A model with IP-Adapters. */
export const REFERENCED: Model = {
  ...DEMO,
  inputs: ["text", "reference"],
  ip_adapters: [{ name: "style", title: "Style" }, { name: "parts", title: "" }],
};

/** A model that reads weighted prompts. */
export const WEIGHTED: Model = { ...DEMO, prompt_syntaxes: ["plain", "weighted"] };

export const PIXELS: Lora = { name: "pixels", title: "Pixel art", trigger: "", scale: 1, min_scale: -2, max_scale: 2 };

/** A model that also starts from pictures, with a LoRA. */
export const PAINTER: Model = { ...DEMO, inputs: ["text", "image", "mask"], loras: [PIXELS] };
