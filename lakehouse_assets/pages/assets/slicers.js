"use strict";
// The controls above a page, and the selections that were made in its visuals.
Pages.slicers = (() => {
  const { make } = Pages;
  const updates = [];
  // Ranges of more values than this are typed instead of chosen from a list.
  const CHOSEN = 400;
  let bar, chips, undo, clear;

  // The values of a dimension in all sources of the page that have it.
  function valuesOf(name) {
    const found = new Map();
    let dimension = null;
    for (const source of Object.values(Pages.model)) {
      const here = source.missing ? null : source.dimensions[name];
      if (!here) continue;
      dimension ??= here;
      for (const value of here.values) found.set(Pages.filters.text(value), value);
    }
    const values = [...found.values()];
    values.sort((a, b) => {
      if (a === null || b === null) return (b === null) - (a === null);
      if (typeof a === "number" && typeof b === "number") return a - b;
      return a < b ? -1 : a > b ? 1 : 0;
    });
    return { dimension, values };
  }

  function list(name, { dimension, values }) {
    const summary = make("summary", {});
    const options = make("div", { class: "options", role: "group", "aria-label": dimension.label });
    const boxes = values.map((value) => {
      const box = make("input", { type: "checkbox", change: () => Pages.filters.select(name, value, true) });
      const row = make("label", {}, box, make("span", {}, Pages.format.label(value)));
      options.append(row);
      return { box, row, text: Pages.format.label(value), key: Pages.filters.text(value) };
    });
    const search = values.length > 12 && make("input", {
      type: "search", placeholder: "Search", "aria-label": `Search ${dimension.label}`,
      input: (event) => {
        const wanted = event.target.value.toLowerCase();
        for (const { row, text } of boxes) row.hidden = !text.toLowerCase().includes(wanted);
      },
    });
    const all = make("button", { type: "button", click: () => Pages.filters.set(name, null) }, "Select all");
    const details = make("details", { class: "slicer", "data-dimension": name }, summary,
      make("div", { class: "menu" }, search || null, options, all));
    details.addEventListener("keydown", (event) => {
      if (event.key !== "Escape") return;
      details.open = false;
      summary.focus();
    });
    updates.push(() => {
      const labels = Pages.filters.get(name)?.labels ?? null;
      for (const { box, key } of boxes) box.checked = labels ? labels.has(key) : false;
      const shown = labels ? boxes.filter(({ key }) => labels.has(key)).map(({ text }) => text) : [];
      const says = !shown.length ? "All" : shown.length > 2 ? `${shown.length} selected` : shown.join(", ");
      summary.replaceChildren(make("span", { class: "name" }, dimension.label), make("span", { class: "value" }, says));
      details.classList.toggle("active", shown.length > 0);
      all.disabled = !labels;
    });
    return details;
  }

  function range(name, { dimension, values }) {
    const known = values.filter((value) => value !== null);
    const few = known.length <= CHOSEN;
    const type = dimension.type === "date" ? "date" : dimension.type === "number" ? "number" : "text";
    const [first, last] = [known[0], known[known.length - 1]];
    const change = () => {
      const [from, to] = [start.value, end.value];
      const whole = (from === "" || from === String(first)) && (to === "" || to === String(last));
      Pages.filters.set(name, whole ? null : { from, to });
    };
    const control = (what) => few
      ? make("select", { "aria-label": `${dimension.label} ${what}`, change },
          ...known.map((value) => make("option", { value }, Pages.format.label(value))))
      : make("input", { type, min: first, max: last, "aria-label": `${dimension.label} ${what}`, change });
    const start = control("from"), end = control("to");
    updates.push(() => {
      const filter = Pages.filters.get(name);
      const labels = filter?.labels ? values.filter((v) => filter.labels.has(Pages.filters.text(v))) : null;
      start.value = filter?.from || (labels ? labels[0] : first);
      end.value = filter?.to || (labels ? labels[labels.length - 1] : last);
      box.classList.toggle("active", filter !== null);
    });
    const box = make("div", { class: "slicer range", "data-dimension": name },
      make("span", { class: "name" }, dimension.label), start, make("span", { class: "dash" }, "–"), end);
    return box;
  }

  function build() {
    bar = make("section", { class: "slicers", "aria-label": "Filters" });
    for (const { dimension: name, kind } of Pages.page.slicers) {
      const found = valuesOf(name);
      if (found.dimension && found.values.length) bar.append((kind === "range" ? range : list)(name, found));
    }
    chips = make("div", { class: "chips" });
    undo = make("button", { type: "button", class: "tool", click: Pages.filters.undo, title: "Undo the last selection (Ctrl+Z)" }, "Undo");
    clear = make("button", { type: "button", class: "tool", click: Pages.filters.clear, title: "Remove all filters" }, "Clear");
    bar.append(chips, make("div", { class: "actions" }, undo, clear));
    addEventListener("keydown", (event) => {
      // A text that is being typed has an undo of its own.
      const typed = /INPUT|SELECT|TEXTAREA/.test(event.target.tagName) && event.target.type !== "checkbox";
      if (!typed && (event.ctrlKey || event.metaKey) && !event.shiftKey && event.key === "z") Pages.filters.undo();
    });
    document.addEventListener("click", (event) => {
      for (const open of bar.querySelectorAll("details[open]")) if (!open.contains(event.target)) open.open = false;
    });
    return bar;
  }

  function update() {
    updates.forEach((each) => each());
    const controlled = new Set(Pages.page.slicers.map(({ dimension }) => dimension));
    const found = [];
    for (const [name, filter] of Pages.filters.all()) {
      if (controlled.has(name)) continue;
      const { dimension, values } = valuesOf(name);
      // A selection of another page's dimension goes on with the links and is not shown here.
      if (!dimension) continue;
      const shown = filter.labels
        ? values.filter((value) => filter.labels.has(Pages.filters.text(value))).map(Pages.format.label)
        : [`${filter.from} – ${filter.to}`];
      const says = shown.length > 2 ? `${shown.length} selected` : shown.join(", ") || "none on this page";
      found.push(make("button", {
        type: "button", class: "chip", title: "Remove this filter", click: () => Pages.filters.set(name, null),
      }, make("span", { class: "name" }, dimension.label), make("span", { class: "value" }, says), make("span", { class: "cross", "aria-hidden": "true" }, "×")));
    }
    chips.replaceChildren(...found);
    undo.disabled = !Pages.filters.canUndo();
    clear.disabled = !Pages.filters.any();
    bar.hidden = !Pages.page.slicers.length && !found.length && undo.disabled;
    for (const link of document.querySelectorAll("nav a, header a")) {
      const hash = Pages.filters.fragment(false);
      link.href = link.getAttribute("href").split("#")[0] + (hash ? `#${hash}` : "");
    }
  }

  return { build, update };
})();
