import { expect, test } from "vitest";

import { duration, fileName, momentOf, samplerTitle, shortened } from "../src/formatting";

test.each([
  [0.04, "0.0 s"],
  [3.21, "3.2 s"],
  [42.4, "42 s"],
  [185, "3 min 05 s"],
])("%d seconds read as %s", (seconds, text) => {
  expect(duration(seconds)).toBe(text);
});

test("today's moment is a time, an earlier one a date", () => {
  const now = new Date(2026, 10, 21, 15, 0);
  expect(momentOf(new Date(2026, 10, 21, 9, 5), now, "en-GB")).toBe("09:05");
  expect(momentOf(new Date(2026, 10, 20, 9, 5), now, "en-GB")).toBe("20 Nov");
});

test("a file is named after its picture, in any script", () => {
  expect(fileName("A red circle, above!", "7", 0, "image/jpeg")).toBe("a-red-circle-above-7.jpg");
  expect(fileName("雨上がりの丘", null, 2, "image/webp")).toBe("雨上がりの丘-2.webp");
  expect(fileName("../../etc", "1", 0, "image/png")).toBe("etc-1.png");
  expect(fileName("!!!", null, 0, "image/png")).toBe("picture-0.png");
});

test("unknown samplers are shown by their own name", () => {
  expect(samplerTitle("dpmpp_2m_karras")).toBe("DPM++ 2M Karras");
  expect(samplerTitle("brand_new")).toBe("brand new");
});

test("shortening never cuts a character in two", () => {
  expect(shortened("🌅🌅🌅🌅", 3)).toBe("🌅🌅…");
  expect(shortened("short", 5)).toBe("short");
});
