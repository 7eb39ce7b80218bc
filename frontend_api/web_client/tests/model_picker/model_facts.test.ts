import { describe, expect, test } from "vitest";

import { factsOf, offersOf } from "../../src/model_picker/model_facts";
import { CONTROLLED, DEMO, PAINTER, PIXELS, REFERENCED, SCHNELL, WEIGHTED } from "../models";

describe("offersOf", () => {
  test.each([
    [DEMO, ["Negative prompt"]],
    [SCHNELL, []],
    [PAINTER, ["Image-to-image", "Inpainting", "LoRAs: Pixel art", "Negative prompt"]],
    [CONTROLLED, ["ControlNet: Edges, depth", "Negative prompt"]],
    [REFERENCED, ["Reference pictures: Style, parts", "Negative prompt"]],
    [WEIGHTED, ["Negative prompt", "Weighted prompts"]],
  ])("lists what tasks of %o can use", (model, offers) => {
    expect(offersOf(model)).toEqual(offers);
  });

  test("states the inputs that every task needs", () => {
    const editing = { ...SCHNELL, inputs: ["text", "image"], traits: { ...SCHNELL.traits, required_inputs: ["image"] } };
    expect(offersOf(editing)).toEqual(["Needs a picture"]);
    const inpainting = { ...SCHNELL, inputs: ["text", "image", "mask"], traits: { ...SCHNELL.traits, required_inputs: ["image", "mask"] } };
    expect(offersOf(inpainting)).toEqual(["Needs a picture and a mask"]);
  });

  test("names the first LoRAs and counts the others", () => {
    const loras = ["a", "b", "c", "d", "e"].map((name) => ({ ...PIXELS, name, title: "" }));
    expect(offersOf({ ...SCHNELL, loras })).toEqual(["LoRAs: a, b, c and 2 more"]);
  });
});

describe("factsOf", () => {
  test("states sizes, steps and the typical time", () => {
    expect(factsOf({ ...DEMO, typical_seconds: 4.21 })).toBe("256 × 256 px, sides from 64 to 512 · 20 steps · about 4.2 s");
    expect(factsOf({ ...DEMO, typical_seconds: null })).toBe("256 × 256 px, sides from 64 to 512 · 20 steps");
  });
});
