/* A measure by two dimensions, as a table whose cells are coloured by their values. */
"use strict";
(() => {
  const { html, refill } = Pages.parts;

  function draw(view) {
    const { dimensions: [down, across], measures } = view.spec;
    const [measure] = measures;
    const cells = view.query({ dimensions: [down, across], measures, sort: "dimension" }).rows;
    const ends = view.query({ dimensions: [down], measures, sort: view.spec.sort }).rows;
    const heads = view.query({ dimensions: [across], measures, sort: "dimension" }).rows;
    const whole = view.query({ dimensions: [], measures }).rows[0]?.values[0] ?? null;
    const at = new Map(cells.map((row) => [JSON.stringify(row.labels), row.values[0]]));
    const values = [...at.values()].filter((value) => value !== null);
    const [least, most] = [Math.min(...values), Math.max(...values)];

    // Different things, such as metrics, have no total.
    const totals = view.spec.options.totals !== false;
    const total = (value) => html("td", { class: "total", "data-value": value }, view.format(measure, value));
    const cell = (row, head) => {
      const value = at.get(JSON.stringify([row.labels[0], head.labels[0]])) ?? null;
      const node = html("td", { class: "heat", "data-value": value }, view.format(measure, value));
      const heat = most > least ? (70 * (value - least)) / (most - least) : 35;
      if (value !== null) node.style.setProperty("--heat", `${heat}%`);
      return node;
    };
    const chooser = (dimension, label) => html("button", {
      type: "button", class: "tool", "data-key": `${dimension}|${label}`,
      "aria-pressed": String(Boolean(view.selected(dimension)?.has(label))),
      click: (event) => view.select(dimension, label, event.ctrlKey || event.metaKey),
    }, Pages.format.label(label));
    view.table(...view.tableOf({ dimensions: [down, across], measures, rows: cells }));
    refill(view, html("div", { class: "scroll", "data-scroll": "matrix", tabindex: "0", role: "region", "aria-label": view.spec.title },
      html("table", { class: "matrix" },
        html("thead", {}, html("tr", {}, html("th", { scope: "col" }, `${view.label(down)} / ${view.label(across)}`),
          ...heads.map((head) => html("th", { scope: "col" }, chooser(across, head.labels[0]))), ...(totals ? [html("th", { scope: "col" }, "All")] : []))),
        html("tbody", {}, ...ends.map((row) => html("tr", {}, html("th", { scope: "row" }, chooser(down, row.labels[0])),
          ...heads.map((head) => cell(row, head)), ...(totals ? [total(row.values[0])] : [])))),
        totals ? html("tfoot", {}, html("tr", {}, html("th", { scope: "row" }, "All"), ...heads.map((head) => total(head.values[0])), total(whole))) : null)));
  }

  Pages.visuals.matrix = { draw };
})();
