/** The safelight at the top of the page: whether what is shown is live, remembered, or refused. */

import { byId, found, say, setAttribute } from "./dom";

type State = "connecting" | "live" | "offline" | "refused";

const WORDS: Readonly<Record<State, string>> = {
  connecting: "Connecting",
  live: "Live",
  offline: "Offline",
  refused: "Not connected",
};

const REMEMBERED = "These are your pictures as last seen; they catch up by themselves.";

/** A reconnecting stream is not worth a notice; one that stays away is. */
const PATIENCE_MILLISECONDS = 4_000;

export class Connection {
  readonly #lamp = byId("connection", HTMLElement);
  readonly #notice = byId("notice", HTMLElement);
  readonly #again = found(this.#notice, "button", HTMLButtonElement);
  #isLive = false;
  #patience: ReturnType<typeof setTimeout> | undefined;

  constructor(reconnect: () => void) {
    this.#again.addEventListener("click", () => {
      this.#show("connecting");
      this.tell(null);
      reconnect();
    });
    addEventListener("offline", () => { this.#offline(); });
    addEventListener("online", () => { this.#show(this.#isLive ? "live" : "connecting"); this.tell(null); });
  }

  live(isLive: boolean): void {
    this.#isLive = isLive;
    clearTimeout(this.#patience);
    if (isLive) {
      this.#show("live");
      this.tell(null);
      return;
    }
    this.#show(navigator.onLine ? "connecting" : "offline");
    this.#patience = setTimeout(() => { this.#offline(); }, PATIENCE_MILLISECONDS);
  }

  /** The stream ended with a refusal: only a person, or a new sign-in, can help. */
  refused(code: string): void {
    clearTimeout(this.#patience);
    this.#isLive = false;
    this.#show("refused");
    const why = code === "permission-denied" ? "You may not see these pictures." : `The live list stopped (${code}).`;
    this.tell(why, true);
  }

  /** Say something across the page, with or without a way to try again. */
  tell(text: string | null, isRetryOffered = false): void {
    this.#notice.hidden = text === null;
    this.#again.hidden = !isRetryOffered;
    say(found(this.#notice, ".notice__text", HTMLElement), text ?? "");
  }

  #offline(): void {
    this.#show("offline");
    this.tell(`${navigator.onLine ? "The live connection is lost." : "You are offline."} ${REMEMBERED}`);
  }

  #show(state: State): void {
    setAttribute(this.#lamp, "data-state", state);
    say(found(this.#lamp, ".lamp__text", HTMLElement), WORDS[state]);
  }
}
