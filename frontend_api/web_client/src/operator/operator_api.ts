/** The REST API calls of the operator page. */

import type { HttpClient } from "@darkroom/web";

import type { DeadLetterPage, History, Operations } from "./operations";

const LETTERS = "v1/dead-letters";
const PAGE_SIZE = 20;
/** Without a timeout the page would show old data as if it were live. */
const TIMEOUT_MILLISECONDS = 15_000;

export class OperatorApi {
  constructor(private readonly http: HttpClient) {}

  async operations(): Promise<Operations> {
    return (await this.#read("v1/operations")) as Operations;
  }

  async history(hours: number): Promise<History> {
    return (await this.#read(`v1/operations/history?hours=${hours}`)) as History;
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

  async #read(path: string): Promise<unknown> {
    const signal = AbortSignal.timeout(TIMEOUT_MILLISECONDS);
    return (await this.http.send("GET", path, { signal })).json();
  }
}

function letterPath(letterId: string): string {
  return `${LETTERS}/${encodeURIComponent(letterId)}`;
}
