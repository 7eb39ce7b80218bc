/** The state of the connection that updates the list, as the page shows it. */

import type { FeedState } from "@darkroom/web";

import { ConnectionStatus } from "./connection_status";
import { byId, setAttribute } from "./dom";

const LABELS = { connecting: "Connecting", live: "Connected", offline: "Disconnected", refused: "No access" };
const THROUGH_API = "Connected through the API";
const STALE = "Showing the last known state; reconnecting.";
/** Short interruptions are frequent; a notice appears only for longer ones. */
const NOTICE_DELAY_MILLISECONDS = 4_000;

export class LiveConnection {
  readonly #status: ConnectionStatus;
  readonly #indicator = byId("connection", HTMLElement);
  #noticeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(reconnect: () => void) {
    this.#status = new ConnectionStatus(LABELS, () => {
      this.#noticeLater();
      reconnect();
    });
    addEventListener("offline", () => { this.#showOffline(); });
    addEventListener("online", () => {
      if (this.#indicator.dataset.state === "live") return;
      this.#status.show("connecting");
      this.#noticeLater();
      reconnect();
    });
  }

  show(state: FeedState): void {
    setAttribute(this.#indicator, "data-source", state.kind === "live" ? state.source : null);
    if (state.kind === "live") {
      clearTimeout(this.#noticeTimer);
      this.#noticeTimer = undefined;
      this.#status.show("live", null, state.source === "api" ? THROUGH_API : LABELS.live);
    } else if (state.kind === "denied") {
      clearTimeout(this.#noticeTimer);
      this.#noticeTimer = undefined;
      this.#status.show("refused", "You don't have access to these images.");
    } else if (this.#noticeTimer === undefined) {
      this.#status.show(navigator.onLine ? "connecting" : "offline");
      this.#noticeLater();
    }
  }

  setStartFailed(): void {
    clearTimeout(this.#noticeTimer);
    this.#status.show("offline", "The service does not respond. The page tries again by itself.");
  }

  #noticeLater(): void {
    clearTimeout(this.#noticeTimer);
    this.#noticeTimer = setTimeout(() => { this.#showOffline(); }, NOTICE_DELAY_MILLISECONDS);
  }

  #showOffline(): void {
    this.#status.show("offline", `${navigator.onLine ? "The connection is lost." : "You are offline."} ${STALE}`);
  }
}
