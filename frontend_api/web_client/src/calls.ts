/** Calls to the REST API, as whoever has signed in. What it refuses is thrown as a ProblemError. */

import { ProblemError, problemFrom, unreachable } from "./problems";
import type { Session } from "./session";

export interface CallContent {
  readonly body?: string;
  readonly headers?: Readonly<Record<string, string>>;
  /** Gives the call up. */
  readonly signal?: AbortSignal;
}

export class Calls {
  constructor(private readonly session: () => Session | null) {}

  async send(method: string, path: string, more: CallContent = {}): Promise<Response> {
    const token = await this.session()?.token();
    const headers = new Headers({ accept: "application/json", ...more.headers });
    if (more.body !== undefined) headers.set("content-type", "application/json");
    if (token) headers.set("authorization", `Bearer ${token}`);
    const content = more.body === undefined ? {} : { body: more.body };
    const answer = await fetch(path, { method, headers, ...content, signal: more.signal ?? null }).catch(() => {
      throw new ProblemError(unreachable());
    });
    if (answer.ok) return answer;
    throw new ProblemError(problemFrom(answer.status, await answer.text(), answer.headers.get("retry-after")));
  }
}
