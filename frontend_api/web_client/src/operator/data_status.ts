/** How current the shown data is, and the notice if it is outdated. */

import { ConnectionStatus } from "../connection_status";
import { byId, setAttribute } from "../dom";
import { timeWithSeconds } from "./formatting";

const LABELS = { connecting: "Connecting", live: "Live", offline: "Out of date", refused: "Not connected" };
/** The API updates its data with each request; if `as_of` does not change for longer, it cannot read the store. */
const STALE_MILLISECONDS = 20_000;

export class DataStatus {
  readonly #status: ConnectionStatus;
  #asOf: string | null = null;
  #changedAt = 0;

  constructor(retry: () => void) {
    this.#status = new ConnectionStatus(LABELS, retry);
  }

  /** Return whether the data is current. */
  setUpdated(asOf: string, now: number): boolean {
    if (asOf !== this.#asOf) this.#changedAt = now;
    this.#asOf = asOf;
    const isCurrent = now - this.#changedAt < STALE_MILLISECONDS;
    if (isCurrent) this.#show("live");
    else this.setOutdated("The API responds, but its data does not change.");
    return isCurrent;
  }

  setOutdated(reason: string): void {
    const shown = this.#asOf === null ? "" : ` The page shows data from ${timeWithSeconds(new Date(this.#asOf))}.`;
    this.#show("offline", `${reason}${shown} It retries automatically.`);
  }

  setRejected(reason: string): void {
    this.#show("refused", reason);
  }

  #show(state: keyof typeof LABELS, notice?: string): void {
    this.#status.show(state, notice);
    setAttribute(byId("main", HTMLElement), "data-connection", state);
  }
}
