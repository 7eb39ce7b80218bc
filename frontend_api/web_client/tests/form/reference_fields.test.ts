import { describe, expect, test } from "vitest";

import { bodyOf, defaultsOf, validationErrors } from "../../src/form/form_values";
import { switchedValues } from "../../src/form/model_switch";
import { DEMO, REFERENCED } from "../models";

const PICTURE = "d".repeat(64);
const values = { ...defaultsOf(REFERENCED), prompt: "a fox", seed: "", reference_image: PICTURE };

describe("reference fields", () => {
  test("are sent with a reference picture", () => {
    expect(JSON.parse(bodyOf(values, REFERENCED))).toMatchObject({ reference_image: PICTURE, ip_adapter: "style", reference_scale: 0.6 });
  });

  test.each([["ip_adapter"], ["reference_scale"], ["reference_image"]])("leave out %s without a reference picture", (name) => {
    expect(JSON.parse(bodyOf({ ...values, reference_image: "" }, REFERENCED))).not.toHaveProperty(name);
    expect(JSON.parse(bodyOf(values, DEMO))).not.toHaveProperty(name);
  });

  test("are validated with a reference picture", () => {
    const wrong = { ...values, ip_adapter: "faces", reference_scale: "2.5" };
    expect(Object.keys(validationErrors(wrong, REFERENCED)).sort()).toEqual(["ip_adapter", "reference_scale"]);
    expect(validationErrors({ ...wrong, reference_image: "" }, REFERENCED)).toEqual({});
  });

  test("return after a switch to a model without IP-Adapters and back", () => {
    const there = switchedValues({ reference_image: PICTURE, ip_adapter: "parts" }, REFERENCED, DEMO);
    expect(there.values.ip_adapter).toBe("");
    expect(switchedValues(there.chosen, DEMO, REFERENCED).values).toMatchObject({ reference_image: PICTURE, ip_adapter: "parts" });
  });
});
