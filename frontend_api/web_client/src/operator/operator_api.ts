/** The part of the REST API that is for operators. */

import type { Calls } from "../calls";
import { ProblemError } from "../problems";
import type { DeadLetterPage, Operations } from "./operations";

const LETTERS = "/v1/dead-letters";
const PAGE_SIZE = 20;
const PATIENCE_MILLISECONDS = 15_000;

export class OperatorApi {
  constructor(private readonly calls: Calls) {}

  /** Gives up after a while: figures that never come would leave the last ones standing as if they were live. */
  async operations(): Promise<Operations> {
    const signal = AbortSignal.timeout(PATIENCE_MILLISECONDS);
    return (await (await this.calls.send("GET", "/v1/operations", { signal })).json()) as Operations;
  }

  async deadLetters(pageToken: string | null): Promise<DeadLetterPage> {
    const query = new URLSearchParams({ page_size: String(PAGE_SIZE) });
    if (pageToken !== null) query.set("page_token", pageToken);
    return (await (await this.calls.send("GET", `${LETTERS}?${query.toString()}`)).json()) as DeadLetterPage;
  }

  async replay(letterId: string): Promise<void> {
    await this.calls.send("POST", `${pathOf(letterId)}/replay`);
  }

  /** A letter that is gone already is what was asked for. */
  async delete(letterId: string): Promise<void> {
    await this.calls.send("DELETE", pathOf(letterId)).catch((error: unknown) => {
      if (!(error instanceof ProblemError && error.problem.status === 404)) throw error;
    });
  }
}

function pathOf(letterId: string): string {
  return `${LETTERS}/${encodeURIComponent(letterId)}`;
}
