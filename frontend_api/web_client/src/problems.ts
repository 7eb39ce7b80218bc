/** The messages of failed actions. */

import { ProblemError } from "@darkroom/web";

import { FIELD_NAMES, type FieldErrors } from "./form/fields";
import { plainText, waitText } from "./formatting";

/** The text for users about a failed action. */
export function errorText(error: unknown, otherwise = "The action failed. Try again."): string {
  return error instanceof ProblemError ? asSentence(error.message) : otherwise;
}

/** The form sends a body again with the same idempotency key. */
const NOT_TWICE = " No task is created twice.";

/** Split the error of a submission into the messages of form fields and the message beside the submit button. */
export function formMessages(error: unknown): { fields: FieldErrors; message: string | null } {
  if (!(error instanceof ProblemError)) return { fields: {}, message: errorText(error) + NOT_TWICE };
  const { problem } = error;
  const fields: FieldErrors = {};
  const others: string[] = [];
  for (const { pointer, detail } of problem.errors) {
    const path = pointer.slice(1);
    const name = FIELD_NAMES.find((field) => field === path.split("/")[0]);
    if (name === undefined) others.push(`${path} ${detail}`.trim());
    else fields[name] ??= plainText(capitalize(detail));
  }
  if (Object.keys(fields).length > 0 && others.length === 0) return { fields, message: null };
  const message = asSentence(others.join("; ") || problem.detail || problem.title);
  const wait = problem.retryAfterSeconds === null ? "" : ` Try again in ${waitText(problem.retryAfterSeconds)}.`;
  const repeated = problem.code === "unreachable" ? NOT_TWICE : "";
  return { fields, message: message + wait + repeated };
}

function asSentence(words: string): string {
  return plainText(capitalize(/[.!?]$/.test(words) ? words : `${words}.`));
}

function capitalize(words: string): string {
  return words.charAt(0).toUpperCase() + words.slice(1);
}
