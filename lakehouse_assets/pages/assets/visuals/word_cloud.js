/* Words whose size is a measure. Every word of the data is drawn. */
"use strict";
(() => {
  const { svg, refill, withArrows } = Pages.parts;

  function widthOf(family) {
    const context = document.createElement("canvas").getContext("2d");
    return (text, size) => {
      context.font = `600 ${size}px ${family}`;
      return context.measureText(text).width;
    };
  }

  function draw(view) {
    const [dimension] = view.spec.dimensions;
    const [measure] = view.spec.measures;
    const { clientWidth: width, clientHeight: height } = view.element;
    const tags = view.data.rows.map(({ labels, values }) => ({ text: Pages.format.label(labels[0]), label: labels[0], weight: values[0] }));
    const placed = Pages.analysis.layoutCloud(tags, width, height, widthOf(getComputedStyle(view.element).fontFamily));
    const selected = view.selected(dimension);
    const words = placed.map((tag) => svg("text", {
      class: selected && !selected.has(tag.label) ? "word faded" : "word",
      x: tag.x, y: tag.y, fill: view.colour(dimension, tag.label),
      style: { fontSize: `${tag.size}px` },
      "data-key": tag.text,
      "aria-pressed": String(Boolean(selected?.has(tag.label))),
      "aria-label": `${tag.text}: ${view.format(measure, tag.weight)}`,
      click: (event) => view.select(dimension, tag.label, event.ctrlKey || event.metaKey),
    }, svg("title", {}, `${tag.text}: ${view.format(measure, tag.weight)}`), tag.text));
    const cloud = svg("svg", { class: "cloud", viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": view.spec.title }, ...words);
    refill(view, withArrows(cloud, words));
  }

  Pages.visuals.word_cloud = { ownFilter: true, draw };
})();
