/**
 * A table whose rows come and go, and whose cells are written only when they say something else.
 *
 * Roles are said although the elements have them: where there is no room the styles turn rows into blocks, and
 * browsers then no longer take them for a table's.
 */

import { say } from "../dom";

export interface Column<Row> {
  readonly title: string;
  readonly isNumber?: boolean;
  written(row: Row): string;
}

export class Table<Row> {
  readonly #body: HTMLTableSectionElement;
  readonly #rows = new Map<string, HTMLTableRowElement>();

  constructor(
    table: HTMLTableElement,
    private readonly columns: readonly Column<Row>[],
    private readonly keyOf: (row: Row) => string,
    private readonly testId: string,
  ) {
    table.role = "table";
    const head = table.createTHead().insertRow();
    head.role = "row";
    for (const { title, isNumber } of columns) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.role = "columnheader";
      cell.textContent = title;
      cell.classList.toggle("is-number", isNumber ?? false);
      head.append(cell);
    }
    this.#body = table.createTBody();
    for (const group of [table.tHead, this.#body]) group?.setAttribute("role", "rowgroup");
  }

  show(rows: readonly Row[]): void {
    const wanted = new Set(rows.map(this.keyOf));
    for (const [key, row] of this.#rows) {
      if (wanted.has(key)) continue;
      row.remove();
      this.#rows.delete(key);
    }
    rows.forEach((row, place) => {
      const element = this.#rowOf(this.keyOf(row));
      const there = this.#body.children[place];
      if (there !== element) this.#body.insertBefore(element, there ?? null);
      this.columns.forEach((column, index) => {
        const cell = element.children[index];
        if (cell !== undefined) say(cell, column.written(row));
      });
    });
  }

  #rowOf(key: string): HTMLTableRowElement {
    const known = this.#rows.get(key);
    if (known !== undefined) return known;
    const row = document.createElement("tr");
    row.role = "row";
    row.dataset.testid = this.testId;
    row.dataset.key = key;
    this.columns.forEach(({ title, isNumber }, index) => {
      const cell = document.createElement(index === 0 ? "th" : "td");
      cell.role = index === 0 ? "rowheader" : "cell";
      if (index === 0) cell.scope = "row";
      // Where there is no room for columns, each cell says what it is.
      cell.dataset.title = title;
      cell.classList.toggle("is-number", isNumber ?? false);
      row.append(cell);
    });
    this.#rows.set(key, row);
    return row;
  }
}
