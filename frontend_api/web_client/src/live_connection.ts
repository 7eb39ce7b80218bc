/** The state of the Firestore connection, as the page shows it. */

import { ConnectionStatus } from "./connection_status";

const LABELS = { connecting: "Connecting", live: "Live", offline: "Offline", refused: "Not connected" };
const STALE = "The list shows the last known state and updates automatically when the connection is back.";
/** Short interruptions are frequent; a notice appears only for longer ones. */
const NOTICE_DELAY_MILLISECONDS = 4_000;

export class LiveConnection {
  readonly #status: ConnectionStatus;
  #isLive = false;
  #noticeTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(reconnect: () => void) {
    this.#status = new ConnectionStatus(LABELS, reconnect);
    addEventListener("offline", () => { this.#showOffline(); });
    addEventListener("online", () => { this.#status.show(this.#isLive ? "live" : "connecting"); });
  }

  setLive(isLive: boolean): void {
    this.#isLive = isLive;
    clearTimeout(this.#noticeTimer);
    if (isLive) this.#status.show("live");
    else {
      this.#status.show(navigator.onLine ? "connecting" : "offline");
      this.#noticeTimer = setTimeout(() => { this.#showOffline(); }, NOTICE_DELAY_MILLISECONDS);
    }
  }

  /** Firestore rejected the listener. Only a retry by the user, or another sign-in, can help. */
  setRejected(code: string): void {
    this.#fail(code === "permission-denied" ? "You do not have access to these images." : `Live updates failed (${code}).`);
  }

  setStartFailed(): void {
    this.#fail("The page could not be started because the service does not respond.");
  }

  #fail(notice: string): void {
    clearTimeout(this.#noticeTimer);
    this.#isLive = false;
    this.#status.show("refused", notice);
  }

  #showOffline(): void {
    this.#status.show("offline", `${navigator.onLine ? "The live connection is lost." : "You are offline."} ${STALE}`);
  }
}
