/* A total, split by one dimension after another along a path that the reader chooses. */
"use strict";
(() => {
  const { html, refill, withArrows, choose, ignored } = Pages.parts;
  const HIGHEST = "(highest value)";

  /** The values of a dimension under a path, largest first. */
  function split(view, dimension, path) {
    const where = Object.fromEntries(path.map((step) => [step.dimension, [step.label]]));
    return view.query({ dimensions: [dimension], measures: view.spec.measures, where, exclude: ignored(view), sort: "measure" }).rows;
  }

  /** The dimension one of whose values has the largest measure of all; the first one among equals. */
  function highest(view, dimensions, path) {
    const tops = dimensions.map((dimension) => Math.max(...split(view, dimension, path).map((row) => row.values[0] ?? -Infinity)));
    return dimensions[tops.indexOf(Math.max(...tops))];
  }

  function rest(view, path) {
    return view.spec.dimensions.filter((dimension) => !path.some((step) => step.dimension === dimension));
  }

  /** The dimension by which the end of a path is split: what was asked for, or the next one. */
  function nextOf(view, path, asked) {
    const open = rest(view, path);
    if (asked === HIGHEST && open.length) return highest(view, open, path);
    return open.includes(asked) ? asked : open[0];
  }

  function column(view, level) {
    const { dimension, rows, path, label, last } = level;
    const most = Math.max(...rows.map((row) => Math.abs(row.values[0] ?? 0)), 0);
    const [measure] = view.spec.measures;
    const bars = rows.map((row) => {
      const [name] = row.labels;
      const chosen = name === label;
      return html("button", {
        class: label !== undefined && !chosen ? "branch faded" : "branch",
        type: "button", "data-key": `${dimension}|${name}`, "aria-pressed": String(chosen),
        "data-value": row.values[0],
        click: () => follow(view, chosen ? path : [...path, { dimension, label: name }]),
      },
      html("span", { class: "branch-name" }, Pages.format.label(name)),
      html("span", { class: "branch-value" }, view.format(measure, row.values[0])),
      html("span", { class: row.values[0] < 0 ? "bar negative" : "bar", style: { width: `${most ? (100 * Math.abs(row.values[0] ?? 0)) / most : 0}%` } }));
    });
    const chosen = Math.max(0, rows.findIndex((row) => row.labels[0] === label));
    const list = withArrows(html("div", { class: "branches", role: "group", "aria-label": view.label(dimension), "data-scroll": dimension }, ...bars), bars, chosen);
    return html("div", { class: "level" }, last ? chooser(view, level) : html("div", { class: "level-head" }, view.label(dimension)), list);
  }

  function chooser(view, { dimension, path }) {
    const names = rest(view, path);
    const options = names.map((name) => html("option", { value: name, selected: name === dimension && view.state.split !== HIGHEST }, view.label(name)));
    options.push(html("option", { value: HIGHEST, selected: view.state.split === HIGHEST }, `Highest value (${view.label(dimension)})`));
    const select = html("select", { "data-key": "split", "aria-label": "Split by" }, ...options);
    select.addEventListener("change", () => view.keep({ ...view.state, split: select.value }));
    return html("div", { class: "level-head" }, select);
  }

  function follow(view, path) {
    const split = view.state.split === HIGHEST ? HIGHEST : undefined;
    view.keep({ ...view.state, path, split });
  }

  /** The path to begin with: the largest part of each level but the last. */
  function largest(view) {
    const path = [];
    for (const dimension of view.spec.dimensions.slice(0, -1)) {
      const [row] = split(view, dimension, path);
      if (!row) break;
      path.push({ dimension, label: row.labels[0] });
    }
    return path;
  }

  function draw(view) {
    const path = (view.state.path ?? largest(view)).filter((step) => view.spec.dimensions.includes(step.dimension));
    const [measure] = view.spec.measures;
    const whole = view.query({ dimensions: [], measures: [measure], exclude: ignored(view) }).rows[0]?.values[0] ?? null;
    const levels = path.map((step, place) => ({ ...step, path: path.slice(0, place), rows: split(view, step.dimension, path.slice(0, place)) }));
    const next = nextOf(view, path, view.state.split);
    if (next) levels.push({ dimension: next, path, rows: split(view, next, path), last: true });

    view.table(
      [{ label: "Path", numeric: false }, { label: "Split by", numeric: false }, { label: "Value", numeric: false }, { name: measure, label: view.label(measure), numeric: true }],
      [["", "", "All", whole], ...levels.flatMap((level) => level.rows.map((row) =>
        [level.path.map((step) => step.label).join(" / "), view.label(level.dimension), row.labels[0], row.values[0]]))],
    );
    const total = html("div", { class: "level" }, html("div", { class: "level-head" }, view.label(measure)),
      html("div", { class: "branches" }, html("div", { class: "branch root" }, html("span", { class: "branch-name" }, "All"),
        html("span", { class: "branch-value" }, view.format(measure, whole)), html("span", { class: "bar", style: { width: "100%" } }))));
    const filter = html("button", {
      type: "button", class: "tool", "data-key": "filter", disabled: !path.length,
      click: () => choose(view, Object.fromEntries(path.map((step) => [step.dimension, [step.label]]))),
    }, "Filter the page by this path");
    const back = html("button", { type: "button", class: "tool", "data-key": "back", disabled: !path.length, click: () => follow(view, []) }, "Back to the total");
    const tree = html("div", { class: "tree", "data-scroll": "tree" }, total, ...levels.map((level) => column(view, level)));
    refill(view, html("div", { class: "controls" }, back, filter), tree);
    if (view.state.path?.length) tree.scrollLeft = tree.scrollWidth;
  }

  Pages.visuals.decomposition_tree = { draw };
})();
