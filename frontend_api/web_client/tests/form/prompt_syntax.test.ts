import { describe, expect, test } from "vitest";

import { bodyOf, defaultsOf, validationErrors } from "../../src/form/form_values";
import { switchedValues } from "../../src/form/model_switch";
import { DEMO, WEIGHTED } from "../models";

const values = { ...defaultsOf(WEIGHTED), prompt: "a (red:1.3) fox", seed: "", prompt_syntax: "weighted" };

describe("prompt syntax", () => {
  test("is sent if the model offers a choice", () => {
    expect(JSON.parse(bodyOf(values, WEIGHTED))).toMatchObject({ prompt_syntax: "weighted" });
    expect(JSON.parse(bodyOf(values, DEMO))).not.toHaveProperty("prompt_syntax");
  });

  test("is validated", () => {
    expect(validationErrors(values, WEIGHTED)).toEqual({});
    expect(validationErrors({ ...values, prompt_syntax: "other" }, WEIGHTED)).toHaveProperty("prompt_syntax");
  });

  test("is plain after a switch to a model without weights, and kept for a switch back", () => {
    const { values: shown, chosen, notes } = switchedValues({ prompt_syntax: "weighted" }, WEIGHTED, DEMO);
    expect(shown.prompt_syntax).toBe("plain");
    expect(notes).toHaveProperty("prompt");
    expect(switchedValues(chosen, DEMO, WEIGHTED).values.prompt_syntax).toBe("weighted");
  });
});
