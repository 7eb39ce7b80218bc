/** The indicator at the top of a page (live, offline …) and the notice that explains a problem. */

import { byId, find, setAttribute, setText } from "./dom";

export type ConnectionState = "connecting" | "live" | "offline" | "refused";

export class ConnectionStatus {
  readonly #indicator = byId("connection", HTMLElement);
  readonly #notice = byId("notice", HTMLElement);
  readonly #retry = find(this.#notice, "button", HTMLButtonElement);

  constructor(private readonly labels: Readonly<Record<ConnectionState, string>>, retry: () => void) {
    this.#retry.addEventListener("click", () => {
      this.show("connecting");
      retry();
    });
  }

  show(state: ConnectionState, notice: string | null = null, label = this.labels[state]): void {
    // A hidden button would lose the focus.
    if (notice === null && this.#notice.contains(document.activeElement)) this.#indicator.focus();
    setAttribute(this.#indicator, "data-state", state);
    setText(find(this.#indicator, ".connection__label", HTMLElement), label);
    this.#notice.hidden = notice === null;
    this.#retry.hidden = state !== "refused" && state !== "offline";
    setText(find(this.#notice, ".notice__text", HTMLElement), notice ?? "");
  }
}
