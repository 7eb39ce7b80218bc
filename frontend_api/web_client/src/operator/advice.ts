/** The "What to do" details of an alert or failure code: its entry in the runbook. */

import markdown from "../../../../docs/operating/runbook.md?raw";

import { create } from "../dom";
import { type Piece, entriesOf } from "./runbook";

const ENTRIES = entriesOf(markdown);
const TAGS = { text: "span", code: "code", strong: "strong", link: "a" } as const;

/** Return the details element, or nothing if the runbook has no entry with this heading. */
export function createAdvice(heading: string, about: string): HTMLDetailsElement[] {
  const paragraphs = ENTRIES.get(heading);
  if (paragraphs === undefined) return [];
  const details = create("details", "advice");
  const summary = create("summary", "", "What to do");
  summary.ariaLabel = `What to do: ${about}`;
  details.append(summary, ...paragraphs.map(createParagraph));
  return [details];
}

function createParagraph(pieces: readonly Piece[]): HTMLElement {
  const paragraph = create("p");
  for (const { kind, text, anchor } of pieces) {
    const part = create(TAGS[kind], "", text);
    if (part instanceof HTMLAnchorElement && anchor !== undefined) part.href = anchor;
    paragraph.append(part);
  }
  return paragraph;
}
