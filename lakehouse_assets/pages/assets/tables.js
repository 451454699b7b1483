"use strict";
// The data behind a picture: as a table, and as a CSV file.
Pages.tables = (() => {
  const { make } = Pages;
  // Rows that are drawn before a button shows all of them.
  const FIRST = 100;

  function render(columns, rows, { caption, select = null, all = false, showAll }) {
    const head = make("tr", {}, ...columns.map((column) =>
      make("th", { scope: "col", class: column.numeric ? "number" : null, title: column.description }, column.label)));
    const body = make("tbody");
    for (const row of all ? rows : rows.slice(0, FIRST)) {
      body.append(make("tr", {}, ...columns.map((column, c) => cell(column, row[c], row, c, select))));
    }
    const table = make("table", { class: "data" }, make("caption", { class: "hidden" }, caption),
      make("thead", {}, head), body);
    const parts = [table];
    if (!all && rows.length > FIRST) {
      parts.push(make("button", { type: "button", class: "tool more", click: showAll },
        `Show all ${Pages.format.number(rows.length, "count")} rows`));
    }
    if (!rows.length) parts.push(make("p", { class: "empty" }, "No data matches the filters."));
    return parts;
  }

  function cell(column, value, row, c, select) {
    if (column.numeric) {
      const text = column.format ? column.format(value) : Pages.format.number(value, column.unit);
      return make("td", { class: "number", "data-value": value === null ? "" : String(value) }, text);
    }
    // The minute of a moment is enough to read; the exact one is in the cell and in the CSV.
    const label = column.type === "time" && value ? value.slice(0, 16) : Pages.format.label(value);
    const content = select && c === 0
      ? make("button", { type: "button", class: "select", "aria-pressed": String(select.has(value)), click: (e) => select.choose(value, e) }, label)
      : label;
    return make(c === 0 ? "th" : "td", { scope: c === 0 ? "row" : null, class: /^\d{4}-\d\d(-\d\d)?/.test(label) ? "date" : null, "data-value": Pages.filters.text(value) }, content);
  }

  function csv(columns, rows) {
    const quote = (value) => {
      let text = value === null || value === undefined ? "" : String(value);
      // A spreadsheet would run a text that starts like a formula.
      if (typeof value === "string" && /^[=+\-@\t\r]/.test(text)) text = `'${text}`;
      return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
    };
    return [columns.map((column) => column.label), ...rows]
      .map((row) => row.map(quote).join(",")).join("\r\n") + "\r\n";
  }

  function download(title, columns, rows) {
    const url = URL.createObjectURL(new Blob(["\ufeff", csv(columns, rows)], { type: "text/csv" }));
    const name = `${Pages.page.name}-${title}`.toLowerCase().replace(/[^a-z0-9]+/g, "-");
    const link = make("a", { href: url, download: `${name}.csv` });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(url), 1000);
  }

  return { render, csv, download };
})();
