/** The API's refusals (RFC 9457) in the words of the page: which fields they are about, and what else to say. */

import type { FieldErrors, FieldName } from "./catalog";

export interface Problem {
  readonly status: number;
  readonly code: string;
  readonly title: string;
  readonly detail: string;
  readonly errors: readonly { readonly pointer: string; readonly detail: string }[];
  readonly retryable: boolean;
  readonly retryAfterSeconds: number | null;
}

export class ProblemError extends Error {
  override readonly name = "ProblemError";

  constructor(readonly problem: Problem) {
    super(problem.detail || problem.title);
  }
}

const FIELDS: ReadonlySet<string> = new Set<FieldName>([
  "prompt",
  "negative_prompt",
  "model",
  "steps",
  "guidance_scale",
  "seed",
  "sampler",
  "width",
  "height",
  "num_images",
  "output_format",
]);

/** What a response that is not a success says; also when a proxy answered with a page instead of a problem. */
export function problemFrom(status: number, body: string, retryAfter: string | null): Problem {
  const told = objectIn(body);
  const seconds = Number(retryAfter ?? Number.NaN);
  return {
    status,
    code: text(told.code) || `http_${status}`,
    title: text(told.title) || (status >= 500 ? "The service could not answer" : "The request was refused"),
    detail: text(told.detail),
    errors: Array.isArray(told.errors) ? told.errors.filter(isFieldError) : [],
    retryable: typeof told.retryable === "boolean" ? told.retryable : status >= 500 || status === 429,
    retryAfterSeconds: Number.isFinite(seconds) ? seconds : null,
  };
}

/** The request that never got an answer. */
export function unreachable(): Problem {
  return {
    status: 0,
    code: "unreachable",
    title: "The service could not be reached",
    detail: "Check your connection and try again; nothing is drawn twice.",
    errors: [],
    retryable: true,
    retryAfterSeconds: null,
  };
}

/** Split a problem into what belongs to fields of the form and what must be said beside the button. */
export function placed(problem: Problem): { fields: FieldErrors; message: string | null } {
  const fields: FieldErrors = {};
  const elsewhere: string[] = [];
  for (const { pointer, detail } of problem.errors) {
    const name = pointer.split("/")[1] ?? "";
    if (FIELDS.has(name)) fields[name as FieldName] ??= capitalised(detail);
    else elsewhere.push(`${pointer.slice(1)} ${detail}`.trim());
  }
  if (Object.keys(fields).length > 0 && elsewhere.length === 0) return { fields, message: null };
  const said = elsewhere.length > 0 ? elsewhere.join("; ") : problem.detail || problem.title;
  const wait = problem.retryAfterSeconds === null ? "" : ` Try again in ${Math.ceil(problem.retryAfterSeconds)} s.`;
  const sentence = /[.!?]$/.test(said) ? said : `${said}.`;
  return { fields, message: capitalised(sentence) + wait };
}

function capitalised(sentence: string): string {
  return sentence.charAt(0).toUpperCase() + sentence.slice(1);
}

function objectIn(body: string): Record<string, unknown> {
  try {
    const parsed: unknown = JSON.parse(body);
    return typeof parsed === "object" && parsed !== null ? (parsed as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}

function text(value: unknown): string {
  return typeof value === "string" ? value : "";
}

function isFieldError(value: unknown): value is { pointer: string; detail: string } {
  if (typeof value !== "object" || value === null) return false;
  const { pointer, detail } = value as Record<string, unknown>;
  return typeof pointer === "string" && typeof detail === "string";
}
