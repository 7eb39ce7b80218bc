import { ProblemError, problemFrom } from "@darkroom/web";
import { expect, test } from "vitest";

import { errorText, formMessages } from "../src/problems";

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

test("formMessages places errors at their fields", () => {
  expect(formMessages(problemFrom(422, rejected, null))).toEqual({
    fields: { steps: "Must be between 1 and 100, got 5000", width: "Must be a multiple of 64, got 65" },
    message: null,
  });
});

test("formMessages returns errors of unknown fields as the message", () => {
  const problem = problemFrom(422, JSON.stringify({ title: "t", errors: [{ pointer: "/lane", detail: "is unknown" }] }), null);
  expect(formMessages(problem)).toEqual({ fields: {}, message: "Lane is unknown." });
});

test("formMessages includes the time of Retry-After", () => {
  const problem = problemFrom(429, JSON.stringify({ title: "Queue full", detail: "the queue is full", retryable: true }), "12");
  expect(problem.retryable).toBe(true);
  expect(formMessages(problem).message).toBe("The queue is full. Try again in 12 s.");
});

test("only the form promises that a repeated submission creates no second task", () => {
  const problem = { ...problemFrom(503, "{}", null), code: "unreachable", detail: "the service is unreachable" };
  expect(formMessages(problem).message).toBe("The service is unreachable. No task is created twice.");
  expect(errorText(new ProblemError(problem))).toBe("The service is unreachable.");
});

test("formMessages returns the title of a response that is not a problem document", () => {
  expect(formMessages(problemFrom(502, "<html>Bad gateway</html>", null)).message).toBe("The service is unavailable.");
});
