/** The overall state of the alerts, in the headline and in the tab's title. Changes are announced to screen readers. */

import { announce } from "../announcer";
import { byId, found, say, setAttribute } from "../dom";
import type { Operations } from "./operations";
import { headline, momentWithSeconds, summaryOf, titleFor } from "./wording";

export class SummaryView {
  readonly #panel = byId("summary", HTMLElement);
  readonly #line = found(this.#panel, ".summary__line", HTMLElement);
  readonly #time = found(this.#panel, "time", HTMLTimeElement);

  /** Show why the caller may not see the page. */
  refused(words: string): void {
    say(this.#line, words);
    say(this.#time, "");
    document.title = titleFor([]);
  }

  show({ conditions: alerts, queue }: Operations): void {
    const words = headline(alerts);
    if (this.#line.textContent !== words) announce(words);
    say(this.#line, words);
    setAttribute(this.#panel, "data-state", summaryOf(alerts));
    this.#time.dateTime = queue.as_of;
    say(this.#time, `Measured at ${momentWithSeconds(new Date(queue.as_of))}`);
    document.title = titleFor(alerts);
  }
}
