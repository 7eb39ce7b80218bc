/** The page's first line: the state of all alerts. It is also in the title, and announced when it changes. */

import { announce } from "../announcer";
import { byId, find, setAttribute, setText } from "../dom";
import { headline, pageTitle, timeWithSeconds, worstState } from "./formatting";
import type { Operations } from "./operations";

export class Summary {
  readonly #panel = byId("summary", HTMLElement);
  readonly #line = find(this.#panel, ".summary__line", HTMLElement);
  readonly #time = find(this.#panel, "time", HTMLTimeElement);

  showRejected(text: string): void {
    setText(this.#line, text);
    setText(this.#time, "");
    document.title = pageTitle([]);
  }

  /** The shown alerts may be outdated: no state is claimed. */
  showUnknown(): void {
    const text = "Status unknown.";
    if (this.#line.textContent !== text) announce(text);
    setText(this.#line, text);
    setAttribute(this.#panel, "data-state", "unknown");
    document.title = "(?) darkroom operations";
  }

  show({ conditions, queue }: Operations): void {
    const text = headline(conditions);
    if (this.#line.textContent !== text) announce(text);
    setText(this.#line, text);
    setAttribute(this.#panel, "data-state", worstState(conditions));
    this.#time.dateTime = queue.as_of;
    setText(this.#time, `Updated at ${timeWithSeconds(new Date(queue.as_of))}`);
    document.title = pageTitle(conditions);
  }
}
