/** The first thing that is seen: whether all is well. Also in the tab's title, and said aloud when it changes. */

import { announce } from "../announcer";
import { byId, found, say, setAttribute } from "../dom";
import type { Operations } from "./operations";
import { headline, momentWithSeconds, titleFor, verdictOf } from "./wording";

export class VerdictView {
  readonly #panel = byId("verdict", HTMLElement);
  readonly #line = found(this.#panel, ".verdict__line", HTMLElement);
  readonly #time = found(this.#panel, "time", HTMLTimeElement);

  /** There is nothing to show to whoever asks. */
  refused(words: string): void {
    say(this.#line, words);
    say(this.#time, "");
    document.title = titleFor([]);
  }

  show({ conditions, queue }: Operations): void {
    const words = headline(conditions);
    if (this.#line.textContent !== words) announce(words);
    say(this.#line, words);
    setAttribute(this.#panel, "data-verdict", verdictOf(conditions));
    this.#time.dateTime = queue.as_of;
    say(this.#time, `Measured at ${momentWithSeconds(new Date(queue.as_of))}`);
    document.title = titleFor(conditions);
  }
}
