/* What several visuals are built from: elements, keyboard use, focus, filters of their own, axes. */
"use strict";
(() => {
  const SVG = "http://www.w3.org/2000/svg";

  function build(node, attributes, children) {
    for (const [name, value] of Object.entries(attributes)) {
      if (value === null || value === undefined || value === false) continue;
      if (name === "click") onChoice(node, value);
      // By script: the content policy allows no style attributes.
      else if (name === "style") Object.assign(node.style, value);
      else node.setAttribute(name, value === true ? "" : value);
    }
    node.append(...children.filter((child) => child !== null));
    return node;
  }

  /** Make an HTML element; `style` is an object, `click` is called for Enter and Space as well. */
  const html = (name, attributes = {}, ...children) => build(document.createElement(name), attributes, children);
  const svg = (name, attributes = {}, ...children) => build(document.createElementNS(SVG, name), attributes, children);

  function onChoice(node, choose) {
    node.addEventListener("click", choose);
    if (node instanceof HTMLButtonElement) return;
    node.setAttribute("role", "button");
    node.setAttribute("tabindex", "0");
    node.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      choose(event);
    });
  }

  /** Fill a visual again; the keyboard focus stays where it was. */
  function refill(view, ...children) {
    const key = view.element.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    const scrolls = [...view.element.querySelectorAll("[data-scroll]")].map((node) => [node.dataset.scroll, node.scrollLeft, node.scrollTop]);
    view.element.replaceChildren(...children);
    for (const [name, left, top] of scrolls) {
      const node = view.element.querySelector(`[data-scroll="${name}"]`);
      if (node) [node.scrollLeft, node.scrollTop] = [left, top];
    }
    if (key !== undefined) view.element.querySelector(`[data-key="${CSS.escape(key)}"]`)?.focus({ preventScroll: true });
  }

  /** Make a group of buttons one stop of the Tab key, within which the arrow keys move. */
  function withArrows(group, items, current = 0) {
    items.forEach((item, place) => item.setAttribute("tabindex", place === current ? "0" : "-1"));
    group.addEventListener("keydown", (event) => {
      const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
      const place = items.indexOf(event.target);
      if (!step || place < 0) return;
      event.preventDefault();
      items[place].setAttribute("tabindex", "-1");
      const next = items[(place + step + items.length) % items.length];
      next.setAttribute("tabindex", "0");
      next.focus();
    });
    return group;
  }

  /** Filter the page from a visual that does not filter itself by it; {dimension: labels}. */
  function choose(view, labels) {
    view.keep({ ...view.state, own: labels });
    view.select(labels);
  }

  /** Dimensions whose filters a visual ignores: those that it set itself, and nobody has changed. */
  function ignored(view) {
    return Object.entries(view.state.own ?? {}).filter(([dimension, labels]) => {
      const selected = view.selected(dimension);
      return selected?.size === labels.length && labels.every((label) => selected.has(label));
    }).map(([dimension]) => dimension);
  }

  /** Columns of a source for the analyses. */
  function columnsOf(view, names) {
    return names.map((name) => ({ name, ...view.source.dimensions[name], label: view.label(name) }));
  }

  const percent = (share) => Pages.format.number(share, "share");
  const count = (number) => Pages.format.number(number, "count");

  /** The look of a chart's axis, and of its tooltip. */
  const axis = (theme, formatter, options = {}) => ({
    type: "value", scale: true, splitNumber: 4, axisLine: { lineStyle: { color: theme.line } }, axisTick: { show: false },
    splitLine: { lineStyle: { color: theme.line } }, nameTextStyle: { color: theme.muted },
    axisLabel: { color: theme.muted, hideOverlap: true, formatter }, ...options,
  });
  const legend = (theme, options = {}) => ({
    type: "scroll", top: 0, left: 0, icon: "roundRect", itemWidth: 10, itemHeight: 10,
    textStyle: { color: theme.text }, pageTextStyle: { color: theme.muted }, ...options,
  });
  const tooltip = (formatter, options = {}) => ({ className: "tooltip", confine: true, formatter, ...options });

  Pages.parts = { axis, legend, tooltip, html, svg, refill, withArrows, choose, ignored, columnsOf, percent, count };
})();
