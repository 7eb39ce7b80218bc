/** Error responses of the API (RFC 9457 problem documents). */

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

/** Read an error response. A proxy may return a page instead of a problem document. */
export function problemFrom(status: number, body: string, retryAfter: string | null): Problem {
  const document = parseObject(body);
  const seconds = Number(retryAfter ?? Number.NaN);
  return {
    status,
    code: text(document.code) || `http_${status}`,
    title: text(document.title) || (status >= 500 ? "The service is unavailable" : "The request was rejected"),
    detail: text(document.detail),
    errors: Array.isArray(document.errors) ? document.errors.filter(isFieldError) : [],
    retryable: typeof document.retryable === "boolean" ? document.retryable : status >= 500 || status === 429,
    retryAfterSeconds: Number.isFinite(seconds) ? seconds : null,
  };
}

/** Whether the API does not have the resource. A 404 from a proxy does not show that it was deleted. */
export function isNotFound({ status, code }: Problem): boolean {
  return status === 404 && code.endsWith("_not_found");
}

/** The problem of a request that got no response. */
export function unreachable(): Problem {
  return {
    status: 0,
    code: "unreachable",
    title: "The service is unreachable",
    detail: "The service is unreachable. Check your connection and try again.",
    errors: [],
    retryable: true,
    retryAfterSeconds: null,
  };
}

function parseObject(body: string): Record<string, unknown> {
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
