import { describe, expect, test } from "vitest";

import { defaultsOf, validationErrors } from "../../src/form/form_values";
import { switchedValues } from "../../src/form/model_switch";
import { sizesOf } from "../../src/form/sizes";
import { DEMO, SCHNELL } from "../models";

describe("switchedValues", () => {
  test("returns the new model's defaults if the user chose nothing", () => {
    expect(switchedValues({}, DEMO, SCHNELL)).toEqual({ values: defaultsOf(SCHNELL), chosen: {}, notes: {} });
  });

  test("keeps the chosen values that the new model accepts", () => {
    const chosen = { prompt: "a red circle", seed: "7", steps: "6", num_images: "2", output_format: "png" };
    const { values, notes } = switchedValues(chosen, DEMO, SCHNELL);
    expect(values).toEqual({ ...defaultsOf(SCHNELL), ...chosen });
    expect(notes).toEqual({});
  });

  test("adapts the other chosen values and says why", () => {
    const chosen = { steps: "60", width: "200", sampler: "ddim", output_format: "webp" };
    const { values, notes } = switchedValues(chosen, DEMO, SCHNELL);
    expect(values).toMatchObject({ steps: "8", width: "256", sampler: "own", output_format: "png" });
    expect(validationErrors({ prompt: "x", seed: "", ...defaultsOf(SCHNELL), ...values }, SCHNELL)).toEqual({});
    expect(notes).toEqual({
      steps: "Changed from 60: this model accepts 1 to 8.",
      width: "Changed from 200: this model accepts 256 to 1536 in multiples of 16.",
      sampler: "Changed from DDIM: not supported by this model.",
      output_format: "Changed from WEBP: not supported by this model.",
    });
  });

  test("gives a chosen aspect ratio the size of the new model", () => {
    const portrait = sizesOf(DEMO).find(({ name }) => name === "9:16");
    const chosen = { width: String(portrait?.width), height: String(portrait?.height) };
    const there = switchedValues(chosen, DEMO, SCHNELL);
    expect(there.values).toMatchObject({ width: "768", height: "1344" });
    expect(there.notes).toEqual({ width: "Changed from 192 × 320 to this model's size of 9:16." });
    expect(switchedValues(there.chosen, SCHNELL, DEMO).values).toMatchObject(chosen);
  });

  test("restores adapted and unused values after a switch back", () => {
    const chosen = { steps: "60", guidance_scale: "7.5", negative_prompt: "blue", sampler: "euler" };
    const there = switchedValues(chosen, DEMO, SCHNELL);
    expect(there.notes).not.toHaveProperty("guidance_scale");
    const back = switchedValues(there.chosen, SCHNELL, DEMO);
    expect(back).toMatchObject({ values: chosen, notes: {} });
  });

  test.each(["", "many"])("replaces the typed text %j, which is no number, by the default", (steps) => {
    expect(switchedValues({ steps }, DEMO, SCHNELL)).toMatchObject({ values: { steps: "4" }, notes: {} });
  });
});
