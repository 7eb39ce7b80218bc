/** "What to do": an entry of the runbook, collapsed until it is opened. */

import markdown from "../../../../docs/operating/runbook.md?raw";

import { type Piece, entriesOf } from "./runbook";

const ENTRIES = entriesOf(markdown);
const TAGS = { text: "span", code: "code", strong: "strong", link: "a" } as const;

/** Null if the runbook has no entry with this heading. */
export function whatToDo(heading: string, about: string): HTMLDetailsElement | null {
  const paragraphs = ENTRIES.get(heading);
  if (paragraphs === undefined) return null;
  const details = document.createElement("details");
  details.className = "advice";
  const summary = document.createElement("summary");
  summary.textContent = "What to do";
  summary.ariaLabel = `What to do: ${about}`;
  details.append(summary, ...paragraphs.map(paragraph));
  return details;
}

function paragraph(pieces: readonly Piece[]): HTMLElement {
  const element = document.createElement("p");
  element.append(
    ...pieces.map((piece) => {
      if (piece.kind === "text") return piece.text;
      const part = document.createElement(TAGS[piece.kind]);
      part.textContent = piece.text;
      if (part instanceof HTMLAnchorElement && piece.anchor !== undefined) part.href = piece.anchor;
      return part;
    }),
  );
  return element;
}
