/* Circles at places, whose size is a measure, over the outlines of countries. */
"use strict";
(() => {
  // Degrees around the outermost places.
  const EDGE = 8;
  // A degree of longitude is so much shorter than one of latitude, in the middle of where people live.
  const SQUEEZE = 0.75;

  function registered() {
    if (!echarts.getMap("world")) echarts.registerMap("world", Pages.analysis.outlines(Pages.world, "countries"));
    return "world";
  }

  /** The corners of a map that shows all places with room around, and keeps shapes in its box. */
  function corners(places, width, height) {
    const range = (values, least, most) => [Math.max(least, Math.min(...values) - EDGE), Math.min(most, Math.max(...values) + EDGE)];
    const x = range(places.map(({ value }) => value[0]), -180, 180);
    const y = range(places.map(({ value }) => value[1]), -60, 85);
    const wanted = (width / height) * ((y[1] - y[0]) / SQUEEZE);
    const more = Math.abs(wanted - (x[1] - x[0])) / 2;
    if (wanted > x[1] - x[0]) return [[x[0] - more, y[1]], [x[1] + more, y[0]]];
    const higher = more * SQUEEZE * (height / width);
    return [[x[0], y[1] + higher], [x[1], y[0] - higher]];
  }

  function draw(view) {
    const { dimensions, measures } = view.spec;
    const [dimension] = dimensions;
    const { rows } = view.query({ dimensions, measures, sort: "measure" });
    const isPlaced = ({ labels }) => labels[1] !== null && labels[1] !== "" && labels[2] !== null && labels[2] !== "";
    const placed = rows.filter(isPlaced);
    const missing = rows.filter((row) => !isPlaced(row));
    const most = Math.max(0, ...placed.map((row) => row.values[0] ?? 0));
    const selected = view.selected(dimension);
    const places = placed.map((row) => ({
      name: row.labels[0],
      value: [Number(row.labels[2]), Number(row.labels[1])],
      values: row.values,
      symbolSize: 5 + 35 * Math.sqrt(Math.max(0, row.values[0] ?? 0) / (most || 1)),
      itemStyle: { opacity: selected && !selected.has(row.labels[0]) ? 0.2 : 0.65 },
    }));
    view.table(...view.tableOf({ dimensions, measures, rows }));
    if (missing.length) view.say(`${missing.length} without coordinates, shown in the table only`);
    view.chart({
      geo: { map: registered(), roam: true, silent: true, left: 0, right: 0, top: 0, bottom: 0,
        boundingCoords: places.length ? corners(places, view.element.clientWidth, view.element.clientHeight) : undefined,
        itemStyle: { areaColor: view.theme.line, borderColor: view.theme.surface } },
      tooltip: Pages.parts.tooltip(({ data }) => view.tooltip(data.name, measures.map((name, at) => [view.label(name), view.format(name, data.values[at])]))),
      series: [{ type: "scatter", coordinateSystem: "geo", data: places, itemStyle: { color: view.theme.accent, borderColor: view.theme.surface } }],
    }, { click: ({ data }) => view.select(dimension, data.name) });
  }

  Pages.visuals.map = { ownFilter: true, draw };
})();
