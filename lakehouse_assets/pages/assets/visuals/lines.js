"use strict";
// Courses over time or another ordered dimension: line and area.
(() => {
  function draw(view, area) {
    const { spec, theme } = view;
    const [dimension] = view.dimensions;
    const { series, measures } = spec;
    const { values: all, type } = view.source.dimensions[dimension];
    const found = view.query({ dimensions: [dimension, ...(series ? [series] : [])], measures, sort: "dimension" });
    const present = new Set(found.rows.map((row) => row.labels[0]));
    const points = all.filter((value) => present.has(value) && value !== null);
    const at = new Map(points.map((value, n) => [value, n]));
    const lines = new Map();
    for (const { labels, values } of found.rows) {
      if (!at.has(labels[0])) continue;
      measures.forEach((measure, m) => {
        const name = series ? labels[1] : view.label(measure);
        if (!lines.has(name)) lines.set(name, { name: Pages.format.label(name), colour: series ? view.colour(series, name) : null, measure, values: points.map(() => null) });
        lines.get(name).values[at.get(labels[0])] = values[m];
      });
    }
    const shown = [...lines.values()];
    const time = type === "date" || type === "time";
    const selection = view.selected(dimension);
    const units = [...new Set(shown.map(({ measure }) => view.source.measures[measure].unit))];
    const axes = units.length === 2 ? units : [units[0]];
    view.chart({
      grid: { left: 6, right: 14, top: shown.length > 1 ? 34 : 12, bottom: 6, outerBoundsMode: "same", outerBoundsContain: "all" },
      legend: shown.length > 1 ? { type: "scroll", top: 0, left: 0, icon: "roundRect", itemWidth: 12, itemHeight: 4, textStyle: { color: theme.text }, pageTextStyle: { color: theme.muted } } : undefined,
      tooltip: {
        trigger: "axis", className: "tooltip", confine: true, axisPointer: { lineStyle: { color: theme.muted } },
        formatter: (params) => view.tooltip(Pages.format.label(points[params[0].dataIndex]), shown
          .filter((line) => line.values[params[0].dataIndex] !== null)
          .map((line) => [line.name, view.format(line.measure, line.values[params[0].dataIndex])])),
      },
      xAxis: {
        type: time ? "time" : "category", data: time ? undefined : points.map(Pages.format.label), boundaryGap: false,
        axisLine: { lineStyle: { color: theme.line } }, axisTick: { show: false }, axisLabel: { color: theme.muted, hideOverlap: true },
      },
      yAxis: axes.map((unit, n) => ({
        type: "value", scale: !area, splitNumber: 4, splitLine: { show: n === 0, lineStyle: { color: theme.line } },
        axisLabel: { color: theme.muted, formatter: (value) => Pages.format.number(value, unit, true) },
      })),
      series: shown.map((line, n) => ({
        type: "line", name: line.name, z: 2 + shown.length - n, showSymbol: points.length <= 24, symbolSize: 6, lineStyle: { width: 2 },
        itemStyle: { color: line.colour ?? theme.series[n % theme.series.length] },
        yAxisIndex: Math.max(0, axes.indexOf(view.source.measures[line.measure].unit)),
        areaStyle: area ? { opacity: 0.18 } : undefined, stack: area && series ? "all" : undefined,
        data: points.map((point, p) => ({
          value: time ? [String(point).replace(" ", "T"), line.values[p]] : line.values[p],
          itemStyle: { opacity: selection && !selection.has(point) ? 0.3 : 1 },
        })),
      })),
    }, { click: (params, event) => view.select(dimension, points[params.dataIndex], event.ctrlKey || event.metaKey || event.shiftKey) });
    const unit = Pages.format.unit(units[0]);
    if (unit && axes.length === 1) view.say(unit);
  }

  Pages.visuals.line = { ownFilter: true, draw: (view) => draw(view, false) };
  Pages.visuals.area = { ownFilter: true, draw: (view) => draw(view, true) };
})();
