/** "What to do": the runbook's own row, folded away until somebody wants it. */

import markdown from "../../../../docs/operating/runbook.md?raw";

import { type Piece, rowsOf } from "./runbook";

const ROWS = rowsOf(markdown);
const TAGS = { text: "span", code: "code", strong: "strong", link: "a" } as const;

/** Null where the runbook has no row of this name. */
export function whatToDo(row: string, about: string): HTMLDetailsElement | null {
  const paragraphs = ROWS.get(row);
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
