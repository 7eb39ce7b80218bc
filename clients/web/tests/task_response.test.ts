import { expect, test } from "vitest";

import { readTaskResponse } from "../src/task_response.js";

const RESPONSE = {
  id: "t1",
  status: "processing",
  model: "demo",
  parameters: { prompt: "a circle", steps: 20, seed: 9007199254740993, seed_text: "9007199254740993", num_images: 2 },
  created_at: "2026-11-29T10:00:00.123456Z",
  started_at: "2026-11-29T10:00:01Z",
  cancel_requested_at: null,
  attempt: 1,
  progress: { phase: "denoising", step: 5, steps: 20, value: 0.25 },
  images: [{ index: 1, seed: 1, seed_text: "1", content_type: "image/png", sha256: "ab" }],
  previews: [{ index: 0, step: 5, url: "/v1/tasks/t1/previews/0" }],
  failed_images: [],
  failure: null,
  warnings: [{ code: "x", pointer: "/prompt", detail: "`prompt` is cut" }],
  metrics: { inference_seconds: 2.5 },
};

test("a response is read like the document of Firestore", () => {
  const task = readTaskResponse(RESPONSE);
  expect(task).toMatchObject({
    id: "t1", status: "processing", prompt: "a circle", imageCount: 2, step: 5, totalSteps: 20, progress: 0.25,
    inferenceSeconds: 2.5, cancelRequested: false, previews: [], warnings: ["`prompt` is cut"],
  });
  expect(task.images).toEqual([{ index: 1, seed: "1", contentType: "image/png", sha256: "ab" }]);
});

test("seeds above 2^53 and microseconds stay exact", () => {
  const task = readTaskResponse(RESPONSE);
  expect(task.seed).toBe("9007199254740993");
  expect(task.createdAt % 1_000).toBeCloseTo(123.456, 3);
});
