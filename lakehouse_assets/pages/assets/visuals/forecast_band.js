/* An expected course with the band in which the truth lies with a declared probability. */
"use strict";
(() => {
  const { axis, legend, tooltip } = Pages.parts;

  /** The lines of one series: low to high as two stacked areas, the expectation, what came true. */
  function linesOf(view, rows, name, colour, places) {
    const [low, middle, high, actual] = view.spec.measures;
    const at = (measure) => {
      const values = Array(places.size).fill(null);
      for (const row of rows) values[places.get(row.labels[0])] = row.values[view.spec.measures.indexOf(measure)];
      return values;
    };
    const lows = at(low);
    const widths = at(high).map((value, place) => (value === null || lows[place] === null ? null : value - lows[place]));
    const stack = { type: "line", stack: `band ${name}`, stackStrategy: "all", symbol: "none", silent: true, lineStyle: { opacity: 0 }, tooltip: { show: false } };
    const shown = [
      { ...stack, name: `${name} low`, data: lows, areaStyle: { opacity: 0 } },
      { ...stack, name: `${name} band`, data: widths, areaStyle: { color: colour, opacity: 0.2 } },
      { type: "line", name, data: at(middle), symbol: "none", itemStyle: { color: colour }, lineStyle: { color: colour, type: "dashed", width: 2 } },
    ];
    if (actual) shown.push({ type: "line", name: `${name} actual`, data: at(actual), symbolSize: 5, itemStyle: { color: colour }, lineStyle: { color: colour, width: 2 } });
    return shown;
  }

  function draw(view) {
    const [dimension] = view.spec.dimensions;
    const { spec: { measures, series }, theme } = view;
    const { rows } = view.query({ dimensions: series ? [dimension, series] : [dimension], measures, sort: "dimension" });
    const labels = [...new Set(rows.map((row) => row.labels[0]))];
    const places = new Map(labels.map((label, place) => [label, place]));
    const names = series ? [...new Set(rows.map((row) => row.labels[1]))] : [null];
    const nameOf = (name) => (series ? Pages.format.label(name) : view.label(measures[1]));
    const lines = names.flatMap((name) => linesOf(
      view, series ? rows.filter((row) => row.labels[1] === name) : rows, nameOf(name),
      series ? view.colour(series, name) : theme.series[0], places));
    view.table(
      [dimension, ...(series ? [series] : [])].map((name) => ({ name, label: view.label(name), numeric: false }))
        .concat(measures.map((name) => ({ name, label: view.label(name), numeric: true }))),
      rows.map((row) => [...row.labels, ...row.values]));
    const told = (place) => rows.filter((row) => row.labels[0] === labels[place]).flatMap((row) =>
      measures.map((name, at) => [series ? `${Pages.format.label(row.labels[1])}: ${view.label(name)}` : view.label(name), view.format(name, row.values[at])]));
    view.chart({
      grid: { left: 4, right: 30, top: names.length > 1 ? 34 : 12, bottom: 4, containLabel: true },
      legend: names.length > 1 ? legend(theme, { data: names.map(nameOf) }) : undefined,
      xAxis: axis(theme, undefined, { type: "category", data: labels.map(Pages.format.label), boundaryGap: false }),
      yAxis: axis(theme, (value) => view.format(measures[1], value, true)),
      tooltip: tooltip((points) => view.tooltip(Pages.format.label(labels[points[0].dataIndex]), told(points[0].dataIndex)), { trigger: "axis" }),
      series: lines,
    }, { click: ({ dataIndex }) => view.select(dimension, labels[dataIndex]) });
  }

  Pages.visuals.forecast_band = { draw };
})();
