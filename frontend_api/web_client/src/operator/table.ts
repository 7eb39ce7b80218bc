/**
 * A table with changing rows.
 *
 * Roles are set explicitly because narrow screens show rows as blocks, and browsers then no longer treat the elements
 * as parts of a table.
 */

import { create, setText } from "../dom";
import { type ItemView, KeyedList } from "../keyed_list";

export interface Column<Row> {
  readonly title: string;
  readonly isNumber?: boolean;
  readonly text: (row: Row) => string;
}

export class Table<Row> {
  readonly #rows: KeyedList<Row>;

  constructor(
    table: HTMLTableElement,
    private readonly columns: readonly Column<Row>[],
    keyOf: (row: Row) => string,
    private readonly testId: string,
  ) {
    table.role = "table";
    const head = table.createTHead();
    const body = table.createTBody();
    head.role = body.role = "rowgroup";
    const titles = head.insertRow();
    titles.role = "row";
    for (const { title, isNumber } of columns) {
      const cell = create("th", isNumber ? "is-number" : "", title);
      titles.append(Object.assign(cell, { scope: "col", role: "columnheader" }));
    }
    this.#rows = new KeyedList(body, keyOf, () => this.#createRow());
  }

  show(rows: readonly Row[]): void {
    this.#rows.show(rows);
  }

  #createRow(): ItemView<Row> {
    const element = Object.assign(create("tr"), { role: "row" });
    element.dataset.testid = this.testId;
    const cells = this.columns.map(({ title, isNumber }, index) => {
      const cell = create(index === 0 ? "th" : "td", isNumber ? "is-number" : "");
      cell.role = index === 0 ? "rowheader" : "cell";
      if (index === 0) cell.scope = "row";
      // The label of the cell on narrow screens.
      cell.dataset.title = title;
      return cell;
    });
    element.append(...cells);
    return {
      element,
      update: (row) => {
        this.columns.forEach(({ text }, index) => {
          const cell = cells[index];
          if (cell !== undefined) setText(cell, text(row));
        });
      },
    };
  }
}
