import { expect, test } from "vitest";

import { modelFacts, modelHint, modelLabel } from "../../src/form/field_messages";
import { DEMO, SCHNELL } from "../models";

test("modelFacts states the workers, shared steps and parameters without effect", () => {
  expect(modelFacts({ ...SCHNELL, workers: 1 })).toBe(
    "1 worker serves this model. Its tasks share denoising steps. Guidance and negative prompts have no effect on it.",
  );
  expect(modelFacts({ ...DEMO, workers: 2, shares_steps: false })).toBe(
    "2 workers serve this model. It generates one image at a time.",
  );
  const embedded = { guidance: "embedded", negative_prompt: false } as const;
  expect(modelFacts({ ...DEMO, workers: null, traits: embedded })).toBe(
    "Its tasks share denoising steps. A negative prompt has no effect on it.",
  );
});

test("modelHint and modelLabel mark a model that no worker serves", () => {
  const unserved = { ...DEMO, description: "Draws shapes.", max_prompt_tokens: 30, served: false };
  expect(modelLabel(unserved)).toBe("Shapes (demo) (no worker)");
  expect(modelHint(unserved)).toContain("Draws shapes. This model reads up to 30 tokens");
  expect(modelHint(unserved)).toContain("No worker serves this model now");
  expect(modelHint(DEMO)).toBe("");
});
