import { expect, test } from "vitest";

import { placed, problemFrom, unreachable } from "../src/problems";

const rejected = JSON.stringify({
  title: "Parameters rejected",
  code: "parameters_rejected",
  detail: "2 fields are outside what model 'demo' accepts",
  errors: [
    { pointer: "/steps", detail: "must be between 1 and 100, got 5000" },
    { pointer: "/width", detail: "must be a multiple of 64, got 65" },
  ],
  retryable: false,
});

test("each refusal stands at its field", () => {
  expect(placed(problemFrom(422, rejected, null))).toEqual({
    fields: { steps: "Must be between 1 and 100, got 5000", width: "Must be a multiple of 64, got 65" },
    message: null,
  });
});

test("a refusal without a field of its own is said beside the button", () => {
  const problem = problemFrom(422, JSON.stringify({ title: "t", errors: [{ pointer: "/lane", detail: "is unknown" }] }), null);
  expect(placed(problem)).toEqual({ fields: {}, message: "Lane is unknown." });
});

test("a wait that the service asks for is told", () => {
  const problem = problemFrom(429, JSON.stringify({ title: "Queue full", detail: "the queue is full", retryable: true }), "12");
  expect(problem.retryable).toBe(true);
  expect(placed(problem).message).toBe("The queue is full. Try again in 12 s.");
});

test("an answer that is no problem document still says something", () => {
  const problem = problemFrom(502, "<html>Bad gateway</html>", "Wed, 21 Oct 2026 07:28:00 GMT");
  expect(problem).toMatchObject({ code: "http_502", retryable: true, retryAfterSeconds: null, errors: [] });
  expect(placed(problem).message).toBe("The service could not answer.");
});

test("odd entries among the errors are passed over", () => {
  const problem = problemFrom(422, JSON.stringify({ title: "t", errors: [null, 3, { pointer: "/steps" }] }), null);
  expect(problem.errors).toEqual([]);
});

test("no answer at all may be tried again", () => {
  expect(unreachable().retryable).toBe(true);
});
