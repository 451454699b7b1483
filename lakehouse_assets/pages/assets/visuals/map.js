/* Circles at places, whose size is a measure, over the outlines of countries. */
"use strict";
(() => {
  const EDGE = 8;

  function registered() {
    if (!echarts.getMap("world")) echarts.registerMap("world", Pages.analysis.outlines(Pages.world, "countries"));
    return "world";
  }

  /** The corners of a map that shows all places with some room around. */
  function corners(places) {
    const longitudes = places.map((place) => place.value[0]);
    const latitudes = places.map((place) => place.value[1]);
    return [
      [Math.max(-180, Math.min(...longitudes) - EDGE), Math.min(85, Math.max(...latitudes) + EDGE)],
      [Math.min(180, Math.max(...longitudes) + EDGE), Math.max(-60, Math.min(...latitudes) - EDGE)],
    ];
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
    view.table(
      dimensions.map((name) => ({ name, label: view.label(name), numeric: false }))
        .concat(measures.map((name) => ({ name, label: view.label(name), numeric: true }))),
      rows.map((row) => [...row.labels, ...row.values]));
    if (missing.length) view.say(`${missing.length} without coordinates are only in the table`);
    view.chart({
      geo: { map: registered(), roam: true, silent: true, left: 0, right: 0, top: 0, bottom: 0,
        boundingCoords: places.length ? corners(places) : undefined,
        itemStyle: { areaColor: view.theme.line, borderColor: view.theme.surface } },
      tooltip: Pages.parts.tooltip(({ data }) => view.tooltip(data.name, measures.map((name, at) => [view.label(name), view.format(name, data.values[at])]))),
      series: [{ type: "scatter", coordinateSystem: "geo", data: places, itemStyle: { color: view.theme.accent, borderColor: view.theme.surface } }],
    }, { click: ({ data }) => view.select(dimension, data.name) });
  }

  Pages.visuals.map = { ownFilter: true, draw };
})();
