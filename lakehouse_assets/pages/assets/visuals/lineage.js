/* Which table is made from which: a graph in columns, to search, and to walk from node to node. */
"use strict";
(() => {
  const { html, svg, refill, withArrows } = Pages.parts;
  // Pixels of a letter, and around a name.
  const LETTER = 6.2;
  const PADDING = 16;
  const HEIGHT = 24;
  const GAP = { x: 60, y: 8 };

  function graphOf(view) {
    const [from, to] = view.spec.dimensions;
    const { rows } = view.query({ dimensions: [from, to], measures: [], sort: "dimension" });
    const edges = rows.map((row) => row.labels).filter(([one, other]) => one !== null && other !== null);
    return { edges, ids: [...new Set(edges.flat())].sort() };
  }

  /** What is shown: everything, what a search finds with its neighbours, or a node's relations. */
  function shown({ ids, edges }, { node, search }) {
    if (node && ids.includes(node)) {
      const { sources, readers } = Pages.analysis.reached(node, edges);
      return new Set([node, ...sources, ...readers]);
    }
    const words = (search || "").toLowerCase();
    if (!words) return new Set(ids);
    const found = ids.filter((id) => id.toLowerCase().includes(words));
    return new Set(edges.filter((edge) => edge.some((id) => found.includes(id))).flat().concat(found));
  }

  function picture(view, ids, edges) {
    const places = Pages.analysis.layered(ids, edges);
    const boxWidth = Math.max(0, ...ids.map((id) => id.length)) * LETTER + PADDING;
    const at = (id) => ({ x: places.get(id).column * (boxWidth + GAP.x) + 4, y: places.get(id).row * (HEIGHT + GAP.y) + 4 });
    const right = Math.max(0, ...ids.map((id) => at(id).x + boxWidth + 4));
    const bottom = Math.max(0, ...ids.map((id) => at(id).y + HEIGHT + 4));
    const lines = edges.map(([from, to]) => {
      const [one, other] = [at(from), at(to)];
      const [x1, y1, x2, y2] = [one.x + boxWidth, one.y + HEIGHT / 2, other.x, other.y + HEIGHT / 2];
      return svg("path", { class: "edge", d: `M${x1} ${y1} C${x1 + GAP.x / 2} ${y1} ${x2 - GAP.x / 2} ${y2} ${x2} ${y2}` });
    });
    const words = (view.state.search || "").toLowerCase();
    const boxes = ids.map((id) => {
      const { x, y } = at(id);
      const found = id === view.state.node || (words && id.toLowerCase().includes(words));
      return svg("g", {
        class: found ? "node found" : "node", transform: `translate(${x} ${y})`, "data-key": id,
        "aria-pressed": String(id === view.state.node),
        click: () => view.keep({ ...view.state, node: id === view.state.node ? undefined : id }),
      }, svg("rect", { width: boxWidth, height: HEIGHT, rx: 4 }), svg("text", { x: 8, y: HEIGHT / 2 }, id));
    });
    const graph = svg("svg", { class: "lineage", width: right, height: bottom, viewBox: `0 0 ${right} ${bottom}`, role: "group", "aria-label": view.spec.title }, ...lines, ...boxes);
    return boxes.length ? withArrows(graph, boxes, Math.max(0, ids.indexOf(view.state.node))) : graph;
  }

  function draw(view) {
    const graph = graphOf(view);
    const visible = shown(graph, view.state);
    const edges = graph.edges.filter((edge) => edge.every((id) => visible.has(id)));
    const ids = graph.ids.filter((id) => visible.has(id));
    view.table(view.spec.dimensions.slice(0, 2).map((name) => ({ name, label: view.label(name), numeric: false })), edges);
    const search = html("input", { type: "search", "data-key": "search", placeholder: "Find a table", "aria-label": "Find a table", value: view.state.search || "" });
    search.addEventListener("change", () => view.keep({ search: search.value.trim() || undefined }));
    const all = html("button", { type: "button", class: "tool", "data-key": "all", disabled: !view.state.node && !view.state.search, click: () => view.keep({}) }, "Show everything");
    refill(view,
      html("div", { class: "controls" }, search, all, html("span", { class: "muted" }, view.state.node
        ? `${view.state.node} with its sources and dependants: ${ids.length} of ${graph.ids.length} tables`
        : `${ids.length} of ${graph.ids.length} tables`)),
      html("div", { class: "scroll", "data-scroll": "graph" }, picture(view, ids, edges)));
  }

  Pages.visuals.lineage = { draw };
})();
