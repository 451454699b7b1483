"use strict";
// Draws what flows where: boxes in columns, from left to right, and lines between them.
Pages.map = (() => {
  const SVG = "http://www.w3.org/2000/svg";
  const WIDTH = 176, HEIGHT = 24, ACROSS = 218, DOWN = 31, TOP = 34;

  function svg(tag, attributes = {}, ...children) {
    const element = document.createElementNS(SVG, tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(name, value);
      else if (value !== null && value !== undefined) element.setAttribute(name, value);
    }
    element.append(...children);
    return element;
  }

  // The longest way to each node decides its column.
  function ranks(nodes, edges) {
    const before = new Map([...nodes.keys()].map((name) => [name, []]));
    for (const [from, to] of edges) before.get(to).push(from);
    const rank = new Map();
    const of = (name) => {
      if (!rank.has(name)) {
        rank.set(name, 0);
        rank.set(name, Math.max(nodes.get(name).least ?? 0, ...before.get(name).map((from) => of(from) + 1)));
      }
      return rank.get(name);
    };
    for (const name of nodes.keys()) of(name);
    return rank;
  }

  // Order each column by the mean place of the neighbours, so that few lines cross.
  function order(columns, edges) {
    const place = new Map();
    const settle = () => columns.forEach((column) => column.forEach((name, n) => place.set(name, n - column.length / 2)));
    const near = new Map();
    for (const [from, to] of edges) {
      near.set(from, [...(near.get(from) ?? []), to]);
      near.set(to, [...(near.get(to) ?? []), from]);
    }
    settle();
    for (let pass = 0; pass < 12; pass++) {
      for (const column of pass % 2 ? [...columns].reverse() : columns) {
        const mean = (name) => {
          const places = (near.get(name) ?? []).map((other) => place.get(other));
          return places.length ? places.reduce((sum, value) => sum + value, 0) / places.length : place.get(name);
        };
        const means = new Map(column.map((name) => [name, mean(name)]));
        column.sort((a, b) => means.get(a) - means.get(b) || (a < b ? -1 : 1));
        column.forEach((name, n) => place.set(name, n - column.length / 2));
      }
    }
  }

  // nodes: Map of name to {title, kind, href, least}; edges: pairs of names.
  function draw(nodes, edges, { marked = null, label }) {
    const rank = ranks(nodes, edges);
    const columns = [];
    for (const [name, at] of rank) (columns[at] ??= []).push(name);
    for (let n = 0; n < columns.length; n++) columns[n] ??= [];
    order(columns, edges);
    const tallest = Math.max(...columns.map((column) => column.length));
    const at = new Map();
    columns.forEach((column, c) => column.forEach((name, n) =>
      at.set(name, [c * ACROSS + 1, TOP + (n + (tallest - column.length) / 2) * DOWN])));
    const width = (columns.length - 1) * ACROSS + WIDTH + 2;
    const height = TOP + tallest * DOWN;
    const lines = edges.map(([from, to]) => {
      const [x1, y1] = at.get(from), [x2, y2] = at.get(to);
      const a = x1 + WIDTH, b = y1 + HEIGHT / 2, d = y2 + HEIGHT / 2, half = Math.max(30, (x2 - a) / 2);
      return svg("path", { class: "edge", "data-from": from, "data-to": to, d: `M${a},${b}C${a + half},${b} ${x2 - half},${d} ${x2},${d}` });
    });
    const boxes = [...nodes].map(([name, node]) => {
      const [x, y] = at.get(name);
      const short = node.title.length > 24 ? `${node.title.slice(0, 23)}…` : node.title;
      return svg("a", {
        href: `#${node.href}`, class: `node ${node.kind}${name === marked ? " marked" : ""}`, "data-name": name,
        mouseenter: () => light(name), mouseleave: () => light(null), focus: () => light(name), blur: () => light(null),
      }, svg("title", {}, name), svg("rect", { x, y, width: WIDTH, height: HEIGHT, rx: 6 }),
      svg("text", { x: x + 9, y: y + 16 }, short));
    });
    // A column is named by most of its boxes, unless the one before has the same name.
    const named = columns.map((column) => {
      const counts = new Map();
      for (const name of column) counts.set(nodes.get(name).kind, (counts.get(nodes.get(name).kind) ?? 0) + 1);
      const [kind = ""] = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a));
      return kind.charAt(0).toUpperCase() + kind.slice(1);
    });
    const heads = named.map((kind, c) => svg("text", { class: "head", x: c * ACROSS + 1, y: 14 }, kind === named[c - 1] ? "" : kind));
    const picture = svg("svg", { viewBox: `0 0 ${width} ${height}`, width, height, role: "group", "aria-label": "Boxes and lines" }, ...heads, ...lines, ...boxes);

    // Everything on the ways to and from a node is lit.
    function light(name) {
      const lit = new Set();
      if (name) {
        for (const [from, to] of [["data-from", "data-to"], ["data-to", "data-from"]]) {
          const queue = [name];
          const seen = new Set(queue);
          for (const node of queue) {
            lit.add(node);
            for (const line of lines) {
              if (line.getAttribute(from) !== node) continue;
              lit.add(line);
              const next = line.getAttribute(to);
              if (!seen.has(next)) { seen.add(next); queue.push(next); }
            }
          }
        }
      }
      picture.classList.toggle("lighting", Boolean(name));
      for (const line of lines) line.classList.toggle("lit", lit.has(line));
      for (const box of boxes) box.classList.toggle("lit", lit.has(box.getAttribute("data-name")));
    }
    return Pages.make("div", { class: "map", tabindex: "0", role: "group", "aria-label": label }, picture);
  }

  return { draw };
})();
