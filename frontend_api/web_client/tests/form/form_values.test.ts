import type { Model } from "@darkroom/web";
import { describe, expect, test } from "vitest";

import { type FormValues, bodyOf, defaultsOf, validationErrors } from "../../src/form/form_values";
import { DEMO, PAINTER, SCHNELL } from "../models";

const values: FormValues = { ...defaultsOf(DEMO), prompt: "a red circle", seed: "" };

describe("validationErrors", () => {
  test("accepts the model's defaults", () => {
    expect(validationErrors(values, DEMO)).toEqual({});
  });

  test.each([
    [{ prompt: "   " }, "prompt"],
    [{ prompt: "x".repeat(21) }, "prompt"],
    [{ negative_prompt: "x".repeat(21) }, "negative_prompt"],
    [{ steps: "0" }, "steps"],
    [{ steps: "101" }, "steps"],
    [{ steps: "2.5" }, "steps"],
    [{ steps: "" }, "steps"],
    [{ guidance_scale: "20.5" }, "guidance_scale"],
    [{ width: "100" }, "width"],
    [{ height: "576" }, "height"],
    [{ num_images: "5" }, "num_images"],
    [{ seed: "-3" }, "seed"],
    [{ sampler: "pndm" }, "sampler"],
    [{ output_format: "jpeg" }, "output_format"],
  ])("reports %j at its field", (change, field) => {
    expect(Object.keys(validationErrors({ ...values, ...change }, DEMO))).toEqual([field]);
  });

  test("counts an emoji as one character, as the API does", () => {
    expect(validationErrors({ ...values, prompt: "🌅".repeat(20) }, DEMO)).toEqual({});
  });

  test("requires whole numbers, except for the guidance scale", () => {
    const errors = validationErrors({ ...values, steps: "1.5", guidance_scale: "7.25" }, DEMO);
    expect(errors).toEqual({ steps: "Must be a whole number." });
  });
});

describe("bodyOf", () => {
  test("trims and converts the values and omits empty ones", () => {
    expect(JSON.parse(bodyOf({ ...values, prompt: " a red circle " }, DEMO))).toEqual({
      prompt: "a red circle",
      model: "demo",
      steps: 20,
      guidance_scale: 4,
      sampler: "ddim",
      width: 256,
      height: 256,
      num_images: 1,
      output_format: "png",
    });
  });

  test("contains the largest seed exactly", () => {
    expect(bodyOf({ ...values, seed: "9223372036854775807" }, DEMO)).toContain('"seed":"9223372036854775807"}');
  });

  test("omits parameters that the model does not use, whatever their hidden fields contain", () => {
    const typed = { ...values, ...defaultsOf(SCHNELL), prompt: "x", guidance_scale: "", negative_prompt: "b".repeat(99) };
    const body = JSON.parse(bodyOf(typed, SCHNELL)) as Record<string, unknown>;
    expect(body).not.toHaveProperty("guidance_scale");
    expect(body).not.toHaveProperty("negative_prompt");
    expect(validationErrors(typed, SCHNELL)).toEqual({});
  });

  test("contains pictures and the strength for a model that takes them", () => {
    const typed = { ...values, image: "a1", mask_image: "b2", strength: "0.6" };
    expect(JSON.parse(bodyOf(typed, PAINTER))).toMatchObject({ image: "a1", mask_image: "b2", strength: 0.6 });
    expect(Object.keys(validationErrors({ ...typed, strength: "0" }, PAINTER))).toEqual(["strength"]);
    expect(bodyOf(typed, DEMO)).toBe(bodyOf(values, DEMO));
  });

  test("needs the pictures that the model requires", () => {
    const inpainting: Model = { ...PAINTER, traits: { ...PAINTER.traits, required_inputs: ["image", "mask"] } };
    expect(validationErrors(values, inpainting)).toEqual({ image: "This model needs a picture." });
    expect(validationErrors({ ...values, image: "a1" }, inpainting)).toEqual({ mask_image: "This model needs a mask." });
    expect(validationErrors({ ...values, image: "a1", mask_image: "b2" }, inpainting)).toEqual({});
  });

  test("omits the strength for a model on which it has no effect", () => {
    const editing: Model = { ...PAINTER, traits: { ...PAINTER.traits, strength: false } };
    expect(JSON.parse(bodyOf({ ...values, image: "a1", strength: "0.6" }, editing))).not.toHaveProperty("strength");
  });

  test("contains the quality of a format that has one, and metadata that differ from the default", () => {
    const typed = { ...values, output_quality: "80", metadata: "none" };
    expect(JSON.parse(bodyOf(typed, DEMO))).not.toHaveProperty("output_quality");
    const body = JSON.parse(bodyOf({ ...typed, output_format: "webp" }, DEMO)) as unknown;
    expect(body).toMatchObject({ output_quality: 80, metadata: "none" });
    expect(Object.keys(validationErrors({ ...typed, output_format: "webp", output_quality: "0" }, DEMO))).toEqual(["output_quality"]);
  });

  test("omits mask and strength without a picture to start from", () => {
    const typed = { ...values, mask_image: "b2", strength: "" };
    expect(bodyOf(typed, PAINTER)).toBe(bodyOf(values, DEMO));
    expect(validationErrors(typed, PAINTER)).toEqual({});
  });
});
