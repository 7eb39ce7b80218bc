/** The rows of docs/operating/runbook.md, each found by how it begins, as pieces of text. Pure. */

export interface Piece {
  readonly kind: "text" | "code" | "strong" | "link";
  readonly text: string;
  /** Where a link within the runbook leads: `#` and its heading. */
  readonly anchor?: string;
}

/** Each paragraph of a row. */
export type Row = readonly (readonly Piece[])[];

/**
 * Rows by how they begin: paragraphs that begin in bold, and lines of tables of three columns.
 *
 * Where all that mends something is a link to another section, that section's table is told in its place.
 */
export function rowsOf(markdown: string): ReadonlyMap<string, Row> {
  const rows = new Map<string, Row>();
  for (const block of markdown.split(/\n{2,}/)) {
    const bold = /^\*\*([^*]+)\*\*\s*([\s\S]*)$/.exec(block);
    if (bold) rows.set(bold[1] ?? "", sentences(bold[2] ?? ""));
    for (const [what, why, mends] of cellsIn(block)) {
      const section = /^\[[^\]]+\]\(#([^)]+)\)$/.exec(mends)?.[1];
      const advice = section === undefined ? [pieces(mends)] : tableOf(sectionOf(markdown, section));
      rows.set(what, [pieces(why), ...advice]);
    }
  }
  return rows;
}

function tableOf(section: string): Row {
  return cellsIn(section).slice(1).map(([what, why, mends]) => pieces(`${what}: ${why}. Mends it: ${mends}.`));
}

/** The three cells of each line of a table, its head among them. */
function cellsIn(text: string): [string, string, string][] {
  const lines = [...text.matchAll(/^\| (.+) \| (.+) \| (.+) \|$/gm)];
  return lines.map(([, what, why, mends]) => [what ?? "", why ?? "", mends ?? ""]);
}

/** From the heading that this anchor leads to until the next one. */
function sectionOf(markdown: string, anchor: string): string {
  const sections = markdown.split(/^(?=## )/m);
  const slug = (section: string) => (/^## (.+)/.exec(section)?.[1] ?? "").toLowerCase().replaceAll(" ", "-");
  return sections.find((section) => slug(section) === anchor) ?? "";
}

/** What shows it and what mends it stand on lines of their own. */
function sentences(text: string): Row {
  return text
    .replace(/\s*\n\s*/g, " ")
    .split(/ (?=Shows it: |Mends it: )/)
    .map(pieces);
}

function pieces(text: string): readonly Piece[] {
  return [...text.matchAll(/`([^`]+)`|\*\*([^*]+)\*\*|\[([^\]]+)\]\(([^)]+)\)|([^`*[]+|[`*[])/g)].map(
    ([, code, strong, label, target, plain]): Piece => {
      if (code !== undefined) return { kind: "code", text: code };
      if (strong !== undefined) return { kind: "strong", text: strong };
      if (label === undefined) return { kind: "text", text: plain ?? "" };
      // The other documents do not come with the page: what they are called is said, and leads nowhere.
      return target?.startsWith("#") ? { kind: "link", text: label, anchor: target } : { kind: "text", text: label };
    },
  );
}
