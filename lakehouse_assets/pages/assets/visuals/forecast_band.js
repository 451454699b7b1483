/* A forecast line with the band that contains the true value with a declared probability. */
"use strict";
(() => {
  const { axis, tooltip } = Pages.parts;

  /** Low to high as two stacked areas, of which only the upper is seen; the expectation; the truth. */
  function linesOf(view, rows) {
    const [low, expected, high, actual] = view.spec.measures.map((_, at) => rows.map((row) => row.values[at]));
    const widths = high.map((value, place) => (value === null || low[place] === null ? null : value - low[place]));
    const colour = view.theme.series[0];
    const line = { type: "line", itemStyle: { color: colour } };
    const area = { ...line, stack: "band", stackStrategy: "all", symbol: "none", silent: true, lineStyle: { opacity: 0 } };
    const shown = [
      { ...area, data: low },
      { ...area, data: widths, areaStyle: { color: colour, opacity: 0.2 } },
      { ...line, data: expected, symbol: "none", lineStyle: { color: colour, type: "dashed", width: 2 } },
    ];
    if (actual) shown.push({ ...line, data: actual, symbolSize: 5, lineStyle: { color: colour, width: 2 } });
    return shown;
  }

  function draw(view) {
    const { spec: { dimensions: [dimension], measures }, theme } = view;
    const { rows } = view.query({ dimensions: [dimension], measures, sort: "dimension" });
    const labels = rows.map((row) => row.labels[0]);
    view.table(...view.tableOf({ dimensions: [dimension], measures, rows }));
    view.chart({
      grid: { left: 4, right: 30, top: 12, bottom: 4, containLabel: true },
      xAxis: axis(theme, undefined, { type: "category", data: labels.map(Pages.format.label), boundaryGap: false }),
      yAxis: axis(theme, (value) => view.format(measures[1], value, true)),
      tooltip: tooltip(([{ dataIndex }]) => view.tooltip(Pages.format.label(labels[dataIndex]),
        measures.map((name, at) => [view.label(name), view.format(name, rows[dataIndex].values[at])])), { trigger: "axis" }),
      series: linesOf(view, rows),
    }, { click: ({ dataIndex }) => view.select(dimension, labels[dataIndex]) });
  }

  Pages.visuals.forecast_band = { draw };
})();
