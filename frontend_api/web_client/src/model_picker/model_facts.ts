/** What a model offers, in words. Pure. */

import type { Model } from "@darkroom/web";

import { duration } from "../formatting";

/** How many names of LoRAs, control networks or IP-Adapters are listed. */
const MAX_NAMES = 3;

/** What tasks of the model can use besides a prompt, such as "Inpainting" and "Negative prompt". */
export function offersOf({ inputs, traits, loras, controlnets, ip_adapters: ipAdapters, prompt_syntaxes: syntaxes }: Model): readonly string[] {
  const required = traits.required_inputs ?? [];
  const [hasMask, needsMask] = [inputs.includes("mask"), required.includes("mask")];
  const pictures = required.includes("image")
    ? [needsMask ? "Needs a picture and a mask" : "Needs a picture", ...(hasMask && !needsMask ? ["Inpainting"] : [])]
    : [...(inputs.includes("image") ? ["Image-to-image"] : []), ...(hasMask ? ["Inpainting"] : [])];
  return [
    ...pictures,
    ...named("LoRAs", loras),
    ...named("ControlNet", controlnets),
    ...named("Reference pictures", ipAdapters),
    ...(traits.negative_prompt ? ["Negative prompt"] : []),
    ...(syntaxes.includes("weighted") ? ["Weighted prompts"] : []),
  ];
}

/** "256 × 256 px, sides from 64 to 512 · 20 steps · about 4 s". */
export function factsOf({ defaults, limits, typical_seconds: seconds }: Model): string {
  const size = `${defaults.width} × ${defaults.height} px, sides from ${limits.min_side} to ${limits.max_side}`;
  const steps = `${defaults.steps} ${defaults.steps === 1 ? "step" : "steps"}`;
  return [size, steps, ...(seconds == null ? [] : [`about ${duration(seconds)}`])].join(" · ");
}

function named(kind: string, weights: readonly { readonly name: string; readonly title: string }[]): readonly string[] {
  if (weights.length === 0) return [];
  const names = weights.slice(0, MAX_NAMES).map(({ name, title }) => title || name).join(", ");
  const others = weights.length - MAX_NAMES;
  return [`${kind}: ${names}${others > 0 ? ` and ${others} more` : ""}`];
}
