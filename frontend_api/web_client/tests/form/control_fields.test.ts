import { describe, expect, test } from "vitest";

import { bodyOf, defaultsOf, validationErrors } from "../../src/form/form_values";
import { switchedValues } from "../../src/form/model_switch";
import { CONTROLLED, DEMO } from "../models";

const CONTROL = "c".repeat(64);
const values = { ...defaultsOf(CONTROLLED), prompt: "a fox", seed: "", control_image: CONTROL };

describe("control fields", () => {
  test("are sent with a control image", () => {
    expect(JSON.parse(bodyOf(values, CONTROLLED))).toMatchObject({ control_image: CONTROL, controlnet: "edges", control_scale: 1 });
  });

  test.each([["controlnet"], ["control_scale"], ["control_image"]])("leave out %s without a control image", (name) => {
    expect(JSON.parse(bodyOf({ ...values, control_image: "" }, CONTROLLED))).not.toHaveProperty(name);
    expect(JSON.parse(bodyOf(values, DEMO))).not.toHaveProperty(name);
  });

  test("are validated with a control image", () => {
    const wrong = { ...values, controlnet: "pose", control_scale: "2.5" };
    expect(Object.keys(validationErrors(wrong, CONTROLLED)).sort()).toEqual(["control_scale", "controlnet"]);
    expect(validationErrors({ ...wrong, control_image: "" }, CONTROLLED)).toEqual({});
  });

  test("return after a switch to a model without control networks and back", () => {
    const there = switchedValues({ control_image: CONTROL, controlnet: "depth" }, CONTROLLED, DEMO);
    expect(there.values.controlnet).toBe("");
    expect(switchedValues(there.chosen, DEMO, CONTROLLED).values).toMatchObject({ control_image: CONTROL, controlnet: "depth" });
  });
});
