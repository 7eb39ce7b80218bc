/** Requests to the REST API with the credentials of the signed-in user. Throws a ProblemError for an error response. */

import { ProblemError, problemFrom, unreachable } from "./problems";
import type { Session } from "./session";

export interface RequestOptions {
  /** Text is sent as JSON, other bodies with their own media type. */
  readonly body?: string | Blob;
  readonly headers?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

export class HttpClient {
  constructor(private readonly session: () => Session | null) {}

  async send(method: string, path: string, options: RequestOptions = {}): Promise<Response> {
    const token = await this.session()?.token();
    const headers = new Headers({ accept: "application/json", ...options.headers });
    if (typeof options.body === "string") headers.set("content-type", "application/json");
    if (token) headers.set("authorization", `Bearer ${token}`);
    const response = await fetch(path, { ...options, method, headers }).catch(() => {
      throw new ProblemError(unreachable());
    });
    if (response.ok) return response;
    throw new ProblemError(problemFrom(response.status, await response.text(), response.headers.get("retry-after")));
  }

  /** Send DELETE. A resource that does not exist (404) counts as deleted. */
  async delete(path: string): Promise<void> {
    await this.send("DELETE", path).catch((error: unknown) => {
      if (!(error instanceof ProblemError && error.problem.status === 404)) throw error;
    });
  }
}
