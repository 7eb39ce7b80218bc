import { expect, test } from "vitest";

import { codeSample } from "../../src/viewer/code_samples";
import { parsePictureFragment, pictureFragment, pictureUrl } from "../../src/viewer/picture_link";
import { nextScale } from "../../src/viewer/zoom";

test("a picture's fragment is read as written", () => {
  for (const link of [{ taskId: "4f1c", index: 0 }, { taskId: "a/b ü", index: 11 }]) {
    expect(parsePictureFragment(pictureFragment(link))).toEqual(link);
  }
  expect(parsePictureFragment("#/t/4f1c")).toEqual({ taskId: "4f1c", index: 0 });
});

test.each(["", "#tasks", "#/t/", "#/t/a/0", "#/t/a/1/2", "#/t/%E0%A4%A/1"])("%s is no picture", (fragment) => {
  expect(parsePictureFragment(fragment)).toBeNull();
});

test("the shared address is below the page's own path", () => {
  expect(pictureUrl("https://example.com/pictures/", { taskId: "4f1c", index: 1 })).toBe("https://example.com/pictures/t/4f1c/2");
});

test("zooming out ends at the fitted image, zooming in at eight times", () => {
  expect(nextScale(1, 0.5, 1)).toBe(1.5);
  expect(nextScale(0.7, 0.5, -1)).toBeNull();
  expect(nextScale(7, 0.5, 1)).toBe(8);
});

const PARAMETERS = { prompt: "it's a \"fox\"", model: "demo", width: 256, height: 192, num_images: 2, seed: "9223372036854775807", loras: [{ name: "ink", scale: 0.5 }] };

test.each([
  ["curl", "'\\''s a"],
  ["python", 'seed="9223372036854775807",'],
  ["python", '{"name": "ink", "scale": 0.5}'],
  ["javascript", 'fetch("https://example.com/p/v1/tasks"'],
  ["openai", 'size="256x192"'],
  ["openai", 'extra_body={"seed": "9223372036854775807"}'],
  ["openai", 'file = Path(f"image-{number}.{made.output_format}")\n    file.write_bytes(base64.b64decode(image.b64_json))\n    print(file)'],
] as const)("the sample for %s contains %s", (language, text) => {
  expect(codeSample(language, PARAMETERS, "https://example.com/p/")).toContain(text);
});
