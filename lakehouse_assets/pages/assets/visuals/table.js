"use strict";
// Rows of all combinations of the dimensions, sorted by a click on a column.
Pages.visuals.table = {
  draw(view) {
    const [columns, rows] = view.tableOf(view.data);
    const { column: at = null, descending = true, all = false } = view.state;
    const sorted = at === null ? rows : [...rows].sort((a, b) => {
      const [x, y] = [a[at], b[at]];
      if (x === null || y === null) return (x === null) - (y === null);
      return (x < y ? -1 : x > y ? 1 : 0) * (descending ? -1 : 1);
    });
    const parts = Pages.tables.render(columns, sorted, {
      caption: view.spec.title, all, showAll: () => view.keep({ ...view.state, all: true }),
    });
    parts[0].querySelectorAll("thead th").forEach((head, c) => {
      const sort = at === c ? (descending ? "descending" : "ascending") : "none";
      head.setAttribute("aria-sort", sort);
      head.replaceChildren(Pages.make("button", {
        type: "button", class: "sort",
        click: () => view.keep({ ...view.state, column: c, descending: at === c ? !descending : columns[c].numeric }),
      }, columns[c].label));
    });
    view.table(columns, sorted);
    view.element.replaceChildren(...parts);
  },
};
