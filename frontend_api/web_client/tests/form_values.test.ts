import { describe, expect, test } from "vitest";

import { type FormValues, bodyOf, defaultsOf, problemsOf, shapesOf } from "../src/form_values";
import { DEMO } from "./models";

const values: FormValues = { ...defaultsOf(DEMO), prompt: "a red circle", seed: "" };

describe("what the model accepts", () => {
  test("its own defaults have no problems", () => {
    expect(problemsOf(values, DEMO)).toEqual({});
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
  ])("%j is refused at its field", (change, field) => {
    expect(Object.keys(problemsOf({ ...values, ...change }, DEMO))).toEqual([field]);
  });

  test("characters are counted as the service counts them", () => {
    expect(problemsOf({ ...values, prompt: "🌅".repeat(20) }, DEMO)).toEqual({});
  });

  test("a number of steps is whole, and says so", () => {
    expect(problemsOf({ ...values, steps: "1.5" }, DEMO).steps).toBe("A whole number.");
  });

  test("guidance may be a fraction", () => {
    expect(problemsOf({ ...values, guidance_scale: "7.25" }, DEMO)).toEqual({});
  });
});

describe("the body", () => {
  test("is flat, typed and trimmed, and leaves out what is empty", () => {
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

  test("carries the largest seed exactly", () => {
    expect(bodyOf({ ...values, seed: "9223372036854775807" }, DEMO)).toContain('"seed":9223372036854775807}');
  });
});

describe("shapes", () => {
  test("keep the limits and about the same area", () => {
    expect(shapesOf(DEMO)).toEqual([
      { name: "Square", width: 256, height: 256 },
      { name: "Portrait", width: 192, height: 320 },
      { name: "Landscape", width: 320, height: 192 },
    ]);
  });

  test("are one where the model has one size", () => {
    const fixed = { ...DEMO, limits: { ...DEMO.limits, min_side: 256, max_side: 256 } };
    expect(shapesOf(fixed).map((shape) => shape.name)).toEqual(["Square"]);
  });
});

describe("parameters without an effect", () => {
  const unguided = { ...DEMO, traits: { guidance: "none", negative_prompt: false } } as const;
  const typed = { ...values, guidance_scale: "", negative_prompt: "blue" };

  test("are not sent, whatever is in their hidden fields", () => {
    const sent = JSON.parse(bodyOf(typed, unguided)) as Record<string, unknown>;
    expect(sent).not.toHaveProperty("guidance_scale");
    expect(sent).not.toHaveProperty("negative_prompt");
    expect(problemsOf(typed, unguided)).toEqual({});
  });
});
