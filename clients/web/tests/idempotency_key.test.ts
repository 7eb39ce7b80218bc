import { expect, test } from "vitest";

import { newIdempotencyKey } from "../src/idempotency_key.js";

test("newIdempotencyKey returns version 4 UUIDs", () => {
  expect(newIdempotencyKey()).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  expect(newIdempotencyKey()).not.toBe(newIdempotencyKey());
});
