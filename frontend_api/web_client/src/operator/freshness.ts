/** How fresh the figures are, and the lamp at the top of the page that says so. */

import { byId, found, say, setAttribute } from "../dom";
import { momentWithSeconds } from "./wording";

type State = "connecting" | "live" | "offline" | "refused";

const WORDS: Readonly<Record<State, string>> = {
  connecting: "Connecting",
  live: "Live",
  offline: "Out of date",
  refused: "Not connected",
};
/** The API measures when it is asked; one that tells the same for longer cannot. */
const STALE_MILLISECONDS = 20_000;

export class Freshness {
  readonly #lamp = byId("connection", HTMLElement);
  readonly #notice = byId("notice", HTMLElement);
  readonly #again = found(this.#notice, "button", HTMLButtonElement);
  readonly #room = byId("room", HTMLElement);
  #asOf: string | null = null;
  #changedAt = 0;

  constructor(again: () => void) {
    this.#again.addEventListener("click", () => {
      this.#show("connecting", null);
      again();
    });
  }

  told(asOf: string, now: number): void {
    if (asOf !== this.#asOf) this.#changedAt = now;
    this.#asOf = asOf;
    if (now - this.#changedAt < STALE_MILLISECONDS) this.#show("live", null);
    else this.#show("offline", `The API answers, but cannot measure. ${this.#remembered()}`);
  }

  missed(why: string): void {
    this.#show("offline", `${why} ${this.#remembered()}`);
  }

  refused(why: string): void {
    this.#show("refused", why);
  }

  #remembered(): string {
    if (this.#asOf === null) return "It is asked again.";
    return `These figures are of ${momentWithSeconds(new Date(this.#asOf))}; they catch up by themselves.`;
  }

  #show(state: State, words: string | null): void {
    setAttribute(this.#lamp, "data-state", state);
    say(found(this.#lamp, ".lamp__text", HTMLElement), WORDS[state]);
    setAttribute(this.#room, "data-freshness", state);
    this.#notice.hidden = words === null;
    this.#again.hidden = state !== "refused";
    say(found(this.#notice, ".notice__text", HTMLElement), words ?? "");
  }
}
