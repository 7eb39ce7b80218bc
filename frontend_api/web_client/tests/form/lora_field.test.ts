import { describe, expect, test } from "vitest";

import { bodyOf, defaultsOf, validationErrors } from "../../src/form/form_values";
import { loraError, lorasText, parseLoras } from "../../src/form/lora_field";
import { switchedValues } from "../../src/form/model_switch";
import { DEMO, PAINTER, PIXELS } from "../models";

const CHOICE = { name: "pixels", scale: 0.8 };

describe("loras", () => {
  test("survive their text", () => {
    expect(parseLoras(lorasText([CHOICE]))).toEqual([CHOICE]);
    expect(lorasText([])).toBe("");
  });

  test.each(["", "{}", "[1]", '[{"name":"pixels"}]', "x"])("of %s are none", (value) => {
    expect(parseLoras(value)).toEqual([]);
  });

  test("are rejected outside their range or if the model has no such one", () => {
    expect(loraError([CHOICE], [PIXELS])).toBe("");
    expect(loraError([{ ...CHOICE, scale: 3 }], [PIXELS])).toBe("The scale of Pixel art must be between -2 and 2.");
    expect(loraError([{ ...CHOICE, name: "ink" }], [PIXELS])).toBe("ink is not available for this model.");
  });

  test("are in the body for a model that offers them", () => {
    const values = { ...defaultsOf(PAINTER), prompt: "a circle", seed: "", loras: lorasText([CHOICE]) };
    expect(JSON.parse(bodyOf(values, PAINTER))).toMatchObject({ loras: [CHOICE] });
    expect(validationErrors(values, PAINTER)).toEqual({});
    expect(bodyOf(values, DEMO)).not.toContain("loras");
  });

  test("that another model does not offer are removed with a note", () => {
    const { values, chosen, notes } = switchedValues({ loras: lorasText([CHOICE]) }, PAINTER, DEMO);
    expect([values.loras, chosen.loras]).toEqual(["", lorasText([CHOICE])]);
    expect(notes.loras).toContain("removed");
  });
});
