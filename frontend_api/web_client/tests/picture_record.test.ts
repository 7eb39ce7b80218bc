import { expect, test } from "vitest";

import { valuesOfRecord } from "../src/picture_drop";
import { recordedParameters } from "../src/picture_record";

const RECORD = '{"version":"1.0","parameters":{"prompt":"a \\"fox\\"\\nü","seed":9223372036854775807,"steps":20,"loras":[{"name":"ink","scale":0.5}]}}';
const encoder = new TextEncoder();

function png(...chunks: readonly (readonly [string, Uint8Array])[]): Uint8Array {
  const parts: Uint8Array[] = [Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)];
  for (const [kind, body] of chunks) {
    const length = new Uint8Array(4);
    new DataView(length.buffer).setUint32(0, body.length);
    parts.push(length, encoder.encode(kind), body, new Uint8Array(4));
  }
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

test("the record of a PNG has its parameters, with the exact seed", () => {
  const parameters = recordedParameters(png(["IHDR", new Uint8Array(13)], ["iTXt", encoder.encode(`darkroom\0\0\0\0\0${RECORD}`)]));
  expect(parameters).toMatchObject({ prompt: 'a "fox"\nü', seed: "9223372036854775807" });
  expect(valuesOfRecord(parameters ?? {})).toEqual({
    prompt: 'a "fox"\nü', seed: "9223372036854775807", steps: "20", loras: '[{"name":"ink","scale":0.5}]',
  });
});

test("the record of other formats is read from XMP", () => {
  const escaped = RECORD.replaceAll('"', "&quot;").replaceAll("\n", "&#10;");
  const file = encoder.encode(`RIFF1234WEBP <x darkroom:record="${escaped}"/>`);
  expect(recordedParameters(file)).toMatchObject({ prompt: 'a "fox"\nü', steps: 20 });
});

test("the lines of other programs are read", () => {
  const lines = "a fox,\na bear\nNegative prompt: blue\nSteps: 30, Sampler: Euler a, CFG scale: 7.5, Seed: 7, Size: 512x768, Model: x";
  expect(recordedParameters(png(["tEXt", encoder.encode(`parameters\0${lines}`)]))).toEqual({
    prompt: "a fox,\na bear", negative_prompt: "blue", steps: "30", guidance_scale: "7.5", seed: "7", width: "512", height: "768",
  });
});

test.each([
  ["an empty file", new Uint8Array()],
  ["a PNG without texts", png(["IHDR", new Uint8Array(13)])],
  ["a chunk beyond the end", png(["iTXt", encoder.encode("darkroom\0\0\0\0\0{")]).subarray(0, 30)],
  ["damaged JSON", png(["iTXt", encoder.encode("darkroom\0\0\0\0\0{")])],
])("%s has no parameters", (_, bytes) => {
  expect(recordedParameters(bytes)).toBeNull();
});
