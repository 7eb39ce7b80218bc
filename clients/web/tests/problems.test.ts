import { expect, test } from "vitest";

import { problemFrom } from "../src/problems.js";

test("problemFrom accepts a response that is not a problem document", () => {
  const problem = problemFrom(502, "<html>Bad gateway</html>", "Wed, 21 Oct 2026 07:28:00 GMT");
  expect(problem).toMatchObject({ code: "http_502", retryable: true, retryAfterSeconds: null, errors: [] });
});

test("problemFrom ignores invalid errors", () => {
  const problem = problemFrom(422, JSON.stringify({ title: "t", errors: [null, 3, { pointer: "/steps" }] }), null);
  expect(problem.errors).toEqual([]);
});
