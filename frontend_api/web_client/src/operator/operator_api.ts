/** The REST API calls of the operator page. */

import type { HttpClient } from "@darkroom/web";

import type { DeadLetterPage, Operations } from "./operations";

const LETTERS = "v1/dead-letters";
const PAGE_SIZE = 20;
/** Without a timeout the page would show old data as if it were live. */
const TIMEOUT_MILLISECONDS = 15_000;

export class OperatorApi {
  constructor(private readonly http: HttpClient) {}

  async operations(): Promise<Operations> {
    const signal = AbortSignal.timeout(TIMEOUT_MILLISECONDS);
    return (await (await this.http.send("GET", "v1/operations", { signal })).json()) as Operations;
  }

  async deadLetters(pageToken: string | null): Promise<DeadLetterPage> {
    const query = new URLSearchParams({ page_size: String(PAGE_SIZE) });
    if (pageToken !== null) query.set("page_token", pageToken);
    return (await (await this.http.send("GET", `${LETTERS}?${query.toString()}`)).json()) as DeadLetterPage;
  }

  async replay(letterId: string): Promise<void> {
    await this.http.send("POST", `${letterPath(letterId)}/replay`);
  }

  delete(letterId: string): Promise<void> {
    return this.http.delete(letterPath(letterId));
  }
}

function letterPath(letterId: string): string {
  return `${LETTERS}/${encodeURIComponent(letterId)}`;
}
