/** The entries of docs/operating/runbook.md by their headings, as pieces of text. Pure. */

export interface Piece {
  readonly kind: "text" | "code" | "strong" | "link";
  readonly text: string;
  /** Target of a link within the runbook: `#` and its heading. */
  readonly anchor?: string;
}

/** The paragraphs and list items of an entry. */
export type Entry = readonly (readonly Piece[])[];

export function entriesOf(markdown: string): ReadonlyMap<string, Entry> {
  const entries = new Map<string, Entry>();
  for (const section of markdown.split(/^(?=##+ )/m)) {
    const found = /^### (.+)\n([\s\S]*)$/.exec(section);
    if (found) entries.set(found[1] ?? "", paragraphs(found[2] ?? ""));
  }
  return entries;
}

function paragraphs(text: string): Entry {
  const blocks = text.trim().split(/\n{2,}|\n(?=- )/);
  return blocks.map((block) => pieces(block.replace(/\s*\n\s*/g, " ").replace(/^- /, "• ")));
}

function pieces(text: string): readonly Piece[] {
  return [...text.matchAll(/`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(([^)]+)\)|([^`*[]+|[`*[])/g)].map(
    ([, code, strong, label, target, plain]): Piece => {
      if (code !== undefined) return { kind: "code", text: code };
      if (strong !== undefined) return { kind: "strong", text: strong };
      if (label === undefined) return { kind: "text", text: plain ?? "" };
      // The page contains no other document, so a link to one is shown as text.
      return target?.startsWith("#") ? { kind: "link", text: label, anchor: target } : { kind: "text", text: label };
    },
  );
}
