/** A table whose rows come and go, and whose cells are written only when they say something else. */

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
    const head = table.createTHead().insertRow();
    for (const { title, isNumber } of columns) {
      const cell = document.createElement("th");
      cell.scope = "col";
      cell.textContent = title;
      cell.classList.toggle("is-number", isNumber ?? false);
      head.append(cell);
    }
    this.#body = table.createTBody();
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
    row.dataset.testid = this.testId;
    row.dataset.key = key;
    this.columns.forEach(({ title, isNumber }, index) => {
      const cell = document.createElement(index === 0 ? "th" : "td");
      if (cell instanceof HTMLTableCellElement && index === 0) cell.scope = "row";
      // Where there is no room for columns, each cell says what it is.
      cell.dataset.title = title;
      cell.classList.toggle("is-number", isNumber ?? false);
      row.append(cell);
    });
    this.#rows.set(key, row);
    return row;
  }
}
