"use strict";
// The page's frame: header, grid of visuals, and what each visual is given to draw itself.
Pages.layout = (() => {
  const { make } = Pages;
  const views = [];

  class View {
    constructor(spec) {
      this.spec = spec;
      // A kind without a script of its own shows its data.
      this.kind = Pages.visuals[spec.kind] ?? Pages.visuals.table;
      this.source = Pages.model[spec.source];
      this.element = make("div", { class: `picture ${spec.height}` });
      this.behind = make("div", { class: "behind hidden", tabindex: "0", role: "region", "aria-label": `Data of ${spec.title}` });
      this.note = make("p", { class: "note" });
      this.crumbs = make("nav", { class: "crumbs", "aria-label": "Levels", hidden: true });
      const tool = (text, title, click) => make("button", { type: "button", class: "tool", title, "aria-label": `${text}: ${spec.title}`, click }, text);
      this.toggle = tool("Table", "Show the data as a table", () => this.showTable(this.behind.classList.contains("hidden")));
      const tools = make("div", { class: "tools" });
      if (spec.drill) {
        this.driller = tool("Drill", "Drill down on click", () => this.keep({ ...this.state, drill: !this.state.drill }));
        tools.append(this.driller);
      }
      if (spec.kind !== "card" && spec.kind !== "table") tools.append(this.toggle);
      if (spec.kind !== "card") {
        tools.append(tool("CSV", "Download the data as CSV", () => Pages.tables.download(spec.title, ...this.shown())));
      }
      this.figure = make("figure", {
        class: "visual", "data-kind": spec.kind, "data-title": spec.title, "data-width": spec.width,
      }, make("figcaption", {}, make("div", { class: "heading" }, make("h2", {}, spec.title), this.note), tools),
      this.crumbs, this.element, this.behind);
      this.width = 0;
      new ResizeObserver(() => {
        const { clientWidth } = this.element;
        // What fits beside and below a picture depends on its width.
        if (clientWidth && Math.abs(clientWidth - this.width) > 24) this.update();
        else this.drawn?.resize();
      }).observe(this.element);
    }

    get theme() {
      return Pages.theme.get();
    }

    get state() {
      return Pages.filters.state(this.spec.title);
    }

    keep(state) {
      Pages.filters.keep(this.spec.title, state);
    }

    // The dimensions that are shown: all, or the level that was drilled to.
    get dimensions() {
      if (!this.spec.drill) return this.spec.dimensions;
      return [this.spec.dimensions[Math.min((this.state.path ?? []).length, this.spec.dimensions.length - 1)]];
    }

    get where() {
      const path = this.spec.drill ? this.state.path ?? [] : [];
      return Object.fromEntries(path.map((label, n) => [this.spec.dimensions[n], [label]]));
    }

    get data() {
      if (!this.found) {
        const { series, measures, sort, top } = this.spec;
        const dimensions = [...this.dimensions, ...(series ? [series] : [])];
        this.found = this.query({ dimensions, measures, sort, top: series ? null : top });
      }
      return this.found;
    }

    get excluded() {
      return this.kind.ownFilter ? [this.dimensions[0]] : [];
    }

    query(options) {
      return Pages.data.query(this.source, this.#with(options));
    }

    groups(options) {
      return Pages.data.groups(this.source, this.#with(options));
    }

    #with(options) {
      return { exclude: this.excluded, ...options, where: { ...this.where, ...options.where } };
    }

    mask(exclude = []) {
      return Pages.data.mask(this.source, exclude);
    }

    // How many things each row stands for; null if each is one.
    weight(measure = null) {
      const tree = measure ? this.source.measures[measure].expression : ["component", 0];
      if (!Array.isArray(tree) || tree[0] !== "component") {
        throw new Error(`${measure} is a ratio, which cannot weight rows.`);
      }
      const { values, scale } = this.source.components[tree[1]];
      if (!measure && values.every((value) => value === 1)) return null;
      return Float64Array.from(values, (value) => (value === value ? value / 10 ** (scale ?? 0) : 0));
    }

    // The colour of a value, the same in every visual of the page.
    colour(dimension, label) {
      const { values } = this.source.dimensions[dimension];
      const { series, muted } = this.theme;
      if (label === null) return muted;
      return series[(values.indexOf(label) - (values[0] === null ? 1 : 0)) % series.length];
    }

    label(name) {
      return (this.source.dimensions[name] ?? this.source.measures[name])?.label ?? name;
    }

    format(measure, value, compact = false) {
      return Pages.format.number(value, this.source.measures[measure]?.unit, compact);
    }

    selected(dimension) {
      const filter = Pages.filters.get(dimension);
      if (!filter) return null;
      if (filter.labels) {
        const { values } = this.source.dimensions[dimension];
        return new Set(values.filter((value) => filter.labels.has(Pages.filters.text(value))));
      }
      const allowed = Pages.filters.codesAllowed(this.source, dimension);
      return new Set(this.source.dimensions[dimension].values.filter((_, code) => allowed[code]));
    }

    // Titles of the page's selected dimensions that these data do not have.
    get unfiltered() {
      if (this.source.missing) return [];
      return [...Pages.filters.all().keys()]
        .filter((name) => !this.source.dimensions[name])
        .map((name) => Object.values(Pages.model).find((source) => source.dimensions?.[name])?.dimensions[name].label)
        .filter(Boolean);
    }

    // Select a label of a dimension, or, given an object, labels of several dimensions at once.
    select(dimension, label, additive = false) {
      if (typeof dimension === "object") {
        Pages.filters.selectAll(dimension);
        return;
      }
      // Running numbers mean somebody else in another source.
      if (this.source.dimensions[dimension].private) return;
      const path = this.state.path ?? [];
      if (this.spec.drill && this.state.drill && path.length + 1 < this.spec.dimensions.length) {
        this.keep({ ...this.state, path: [...path, label] });
      } else {
        Pages.filters.select(dimension, label, additive);
      }
    }

    // Draw with ECharts. Its canvas is described by the table behind it.
    chart(option, { click } = {}) {
      if (!this.drawn) {
        this.element.replaceChildren();
        this.drawn = echarts.init(this.element, null, { renderer: "canvas" });
      }
      const { text, font, series } = this.theme;
      this.drawn.setOption({
        animationDuration: 250, animationDurationUpdate: 200,
        animation: !matchMedia("(prefers-reduced-motion: reduce)").matches,
        color: series, textStyle: { color: text, fontFamily: font }, ...option,
      }, { notMerge: true });
      this.drawn.off("click");
      if (click) this.drawn.on("click", (params) => click(params, params.event?.event ?? {}));
      this.element.setAttribute("role", "img");
      this.element.setAttribute("aria-label", `${this.spec.title}. The button "Table" shows its data.`);
      return this.drawn;
    }

    tooltip(title, lines) {
      return make("div", { class: "tip" }, title === null ? null : make("strong", {}, title),
        ...lines.map(([label, text]) => make("div", {}, make("span", {}, label), make("b", {}, text))));
    }

    // The words under the title: unit, what is left out, and the declared note.
    say(...texts) {
      this.said = texts;
    }

    // Rows may be a function, which is called when the table is shown or downloaded.
    table(columns, rows) {
      this.behindData = [columns, rows];
    }

    shown() {
      if (!this.behindData) return this.tableOf(this.data);
      const [columns, rows] = this.behindData;
      return [columns, typeof rows === "function" ? rows() : rows];
    }

    tableOf(data) {
      const columns = [
        ...data.dimensions.map((name) => ({
          name, label: this.label(name), numeric: false, type: this.source.dimensions[name].type,
          description: this.source.dimensions[name].description,
        })),
        ...data.measures.map((name) => {
          const { label, unit, description } = this.source.measures[name];
          const inUnit = Pages.format.unit(unit);
          return { name, label: inUnit ? `${label} (${inUnit})` : label, unit, numeric: true, description };
        }),
      ];
      return [columns, data.rows.map((row) => [...row.labels, ...row.values])];
    }

    showTable(open, all = false) {
      this.behind.classList.toggle("hidden", !open);
      this.element.classList.toggle("hidden", open);
      this.toggle.setAttribute("aria-pressed", String(open));
      this.toggle.textContent = open ? "Chart" : "Table";
      this.toggle.setAttribute("aria-label", `${this.toggle.textContent}: ${this.spec.title}`);
      this.fillTable(all);
      if (open) this.behind.focus();
      else this.drawn?.resize();
    }

    fillTable(all = false) {
      const [columns, rows] = this.shown();
      const dimension = this.dimensions[0];
      const selection = dimension && this.selected(dimension);
      const selects = dimension && this.kind.ownFilter && !this.behindData;
      this.behind.replaceChildren(...Pages.tables.render(columns, rows, {
        caption: this.spec.title, all, showAll: () => this.fillTable(true),
        select: selects ? { has: (value) => selection?.has(value) ?? false, choose: (value, event) => this.select(dimension, value, event.ctrlKey || event.metaKey) } : null,
      }));
    }

    update() {
      // A visual that nothing has changed for stays as it is.
      const unfiltered = this.unfiltered.join(", ");
      const seen = JSON.stringify([this.source.revision, this.state, this.theme.dark, this.element.clientWidth, unfiltered]);
      if (this.seen === seen) return;
      this.seen = seen;
      this.found = null;
      this.behindData = null;
      this.said = [];
      if (this.source.missing) {
        this.element.replaceChildren(make("p", { class: "empty" }, this.source.missing));
        return;
      }
      this.width = this.element.clientWidth;
      try {
        this.drawn?.resize();
        this.kind.draw(this);
      } catch (error) {
        // The other visuals are drawn nevertheless.
        console.error(`${this.spec.title}:`, error);
        this.element.replaceChildren(make("p", { class: "empty" }, "This visual could not be drawn. See the browser's console."));
        this.drawn = null;
        return;
      }
      const { others } = this.found ?? {};
      const parts = [
        this.spec.note, ...this.said,
        others ? `${Pages.format.number(others.of - others.count)} of ${Pages.format.number(others.of)}` : null,
        unfiltered && `Not filtered by ${unfiltered}`,
      ].filter(Boolean);
      this.note.textContent = parts.join(" · ");
      this.note.hidden = !parts.length;
      this.note.title = unfiltered && `These data have no ${unfiltered}, so this selection does not change them.`;
      if (!this.behind.classList.contains("hidden")) this.fillTable();
      this.updateCrumbs();
    }

    updateCrumbs() {
      if (!this.spec.drill) return;
      const path = this.state.path ?? [];
      this.driller.setAttribute("aria-pressed", String(Boolean(this.state.drill)));
      this.crumbs.hidden = !path.length;
      const step = (text, depth) => make("button", { type: "button", class: "tool", click: () => this.keep({ ...this.state, path: path.slice(0, depth) }) }, text);
      this.crumbs.replaceChildren(step("All", 0), ...path.map((label, n) => step(Pages.format.label(label), n + 1)));
    }
  }

  function build(main) {
    const { page } = Pages;
    const theme = make("button", { type: "button", class: "tool", click: Pages.theme.toggle, title: "Light or dark" }, "◐");
    theme.setAttribute("aria-label", "Switch between light and dark");
    const versions = make("details", { class: "versions" },
      make("summary", {}, page.stamp),
      make("div", { class: "menu", tabindex: "0", role: "region", "aria-label": "Versions of the tables" }, make("p", {}, "This page shows these versions:"),
        ...Pages.tables.render(
          [{ label: "Table" }, { label: "Version", numeric: true, unit: "code" }, { label: "Written (UTC)" }],
          page.versions.map(({ table, version, written }) => [table, version, written]), { caption: "Versions", all: true })));
    const links = page.pages.map(({ name, title }) =>
      make("a", { href: `${name}.html`, "aria-current": name === page.name ? "page" : null }, title));
    requestAnimationFrame(() => {
      links.find((link) => link.hasAttribute("aria-current"))?.scrollIntoView({ block: "nearest", inline: "center" });
    });
    document.body.prepend(make("header", {}, make("a", { class: "brand", href: "index.html" }, "Lakehouse"),
      make("nav", { "aria-label": "Pages" }, ...links), theme));
    main.append(make("div", { class: "title" }, make("div", {}, make("h1", {}, page.title), make("p", {}, page.description)), versions));
    main.append(Pages.slicers.build());
    if (!page.visuals) {
      main.append(make("section", { class: "tiles" }, ...page.pages.map(({ name, title, description }) =>
        make("a", { class: "tile", href: `${name}.html` }, make("h2", {}, title), make("p", {}, description)))));
      return;
    }
    const grid = make("section", { class: "grid", "aria-label": "Visuals" });
    for (const spec of page.visuals) {
      const view = new View(spec);
      views.push(view);
      grid.append(view.figure);
    }
    main.append(grid);
  }

  function update() {
    for (const view of views) view.update();
  }

  return { build, update, views };
})();
