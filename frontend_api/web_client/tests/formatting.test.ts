import { expect, test } from "vitest";

import { duration, fileName, imageName, plainText, timeOrDay, samplerTitle, shortened, waitText } from "../src/formatting";

test.each([
  [0.04, "0.0 s"],
  [3.21, "3.2 s"],
  [42.4, "42 s"],
  [185, "3 min 05 s"],
])("duration of %d seconds is %s", (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});

test("timeOrDay returns the time of today and the day of an earlier date", () => {
  const now = new Date(2026, 10, 21, 15, 0);
  expect(timeOrDay(new Date(2026, 10, 21, 9, 5), now, "en-GB")).toBe("09:05");
  expect(timeOrDay(new Date(2026, 10, 20, 9, 5), now, "en-GB")).toBe("20 Nov");
});

test("fileName contains the words of the prompt, in any script", () => {
  expect(fileName("A red circle, above!", "7", 0, "image/jpeg")).toBe("a-red-circle-above-7.jpg");
  expect(fileName("雨上がりの丘", null, 2, "image/webp")).toBe("雨上がりの丘-2.webp");
  expect(fileName("../../etc", "1", 0, "image/png")).toBe("etc-1.png");
  const letters = "\u{1D49C}".repeat(60);
  expect(fileName(`x${letters}`, "1", 0, "image/png")).toBe(`x${"\u{1D49C}".repeat(47)}-1.png`);
  expect(fileName("!!!", null, 0, "image/png")).toBe("image-0.png");
});

test("plainText removes the marks of code and the underscores in it", () => {
  expect(plainText("The `guidance_scale` is 1, not my_own.")).toBe("The guidance scale is 1, not my_own.");
});

test("samplerTitle derives a title from the name of an unknown sampler", () => {
  expect(samplerTitle("dpmpp_2m_karras")).toBe("DPM++ 2M Karras");
  expect(samplerTitle("brand_new")).toBe("brand new");
});

test("waitText rounds up, and names hours", () => {
  expect([0.2, 89, 91, 3_600, 43_210].map(waitText)).toEqual(["1 s", "89 s", "2 min", "60 min", "12 h 1 min"]);
});

test("imageName numbers the images of a task with several", () => {
  expect(imageName("a fox", 0, 1)).toBe("a fox");
  expect(imageName("a fox", 1, 4)).toBe("a fox, image 2 of 4");
  expect(imageName("x".repeat(2_000), 0, 1)).toHaveLength(200);
});

test("shortened never cuts a surrogate pair", () => {
  expect(shortened("🌅🌅🌅🌅", 3)).toBe("🌅🌅…");
  expect(shortened("short", 5)).toBe("short");
});
