import { unzipSync } from "fflate";
import { expect, test } from "vitest";

import { namedImages } from "../../src/selection/file_names";
import { zipImages, zipText } from "../../src/selection/zip";
import { taskAt, withImages } from "../tasks";

const images = namedImages([taskAt(1, { parameters: { prompt: "fox" }, ...withImages(4) })]);
const bytesOf = (index: number) => Uint8Array.from({ length: 1_000 }, (_, at) => (at * (index + 1)) % 256);

test("zip contains every image, and names those that could not be fetched", async () => {
  const progress: number[] = [];
  const zipped = await zipImages(
    images,
    ({ index }) => (index === 2 ? Promise.reject(new Error("lost")) : Promise.resolve(new Blob([bytesOf(index)]))),
    (finished) => { progress.push(finished); },
    new AbortController().signal,
  );
  const files = unzipSync(new Uint8Array(await zipped.file.arrayBuffer()));
  expect(Object.keys(files).sort()).toEqual(["fox-0.png", "fox-1.png", "fox-3.png"]);
  expect(files["fox-3.png"]).toEqual(bytesOf(3));
  expect(progress).toEqual([1, 2, 3, 4]);
  expect(zipText(zipped)).toBe("3 images saved. 1 could not be fetched: fox-2.png. The image could not be read.");
});

test("stopped download yields nothing", async () => {
  const abort = new AbortController();
  const fetchImage = () => {
    abort.abort();
    return Promise.resolve(new Blob([bytesOf(0)]));
  };
  await expect(zipImages(images, fetchImage, () => undefined, abort.signal)).rejects.toThrow();
});

test("long list of missing images is cut", () => {
  const missing = Array.from({ length: 7 }, (_, index) => ({ name: `${index}.png`, reason: "Gone." }));
  expect(zipText({ added: 0, missing })).toBe("0 images saved. 7 could not be fetched: 0.png, 1.png, 2.png, 3.png, 4.png and 2 more. Gone.");
  expect(zipText({ added: 1, missing: [] })).toBe("1 image saved.");
});
