import { ProblemError, problemFrom } from "@darkroom/web";
import { expect, test } from "vitest";

import { errorText, formMessages } from "../src/problems";

const refusal = (...response: Parameters<typeof problemFrom>) => new ProblemError(problemFrom(...response));

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
  expect(formMessages(refusal(422, rejected, null))).toEqual({
    fields: { steps: "Must be between 1 and 100, got 5000", width: "Must be a multiple of 64, got 65" },
    message: null,
  });
});

test("formMessages returns errors of unknown fields as the message", () => {
  const error = refusal(422, JSON.stringify({ title: "t", errors: [{ pointer: "/lane", detail: "is unknown" }] }), null);
  expect(formMessages(error)).toEqual({ fields: {}, message: "Lane is unknown." });
});

test("formMessages includes the time of Retry-After", () => {
  const error = refusal(429, JSON.stringify({ title: "Queue full", detail: "the queue is full", retryable: true }), "12");
  expect(error.problem.retryable).toBe(true);
  expect(formMessages(error).message).toBe("The queue is full. Try again in 12 s.");
});

test("only the form promises that a repeated submission creates no second task", () => {
  const error = new ProblemError({ ...problemFrom(503, "{}", null), code: "unreachable", detail: "the service is unreachable" });
  expect(formMessages(error).message).toBe("The service is unreachable. No task is created twice.");
  expect(errorText(error)).toBe("The service is unreachable.");
});

test("formMessages returns the title of a response that is not a problem document", () => {
  expect(formMessages(refusal(502, "<html>Bad gateway</html>", null)).message).toBe("The service is unavailable.");
});

test("formMessages states the failure of a submission that got no problem, such as a token that cannot be refreshed", () => {
  const failed = { fields: {}, message: "The action failed. Try again. No task is created twice." };
  expect(formMessages(new TypeError("the body broke off"))).toEqual(failed);
});
