"use strict";
// Lengths by category: bar, column, and both stacked by a series.
(() => {
  function draw(view, { horizontal, stacked }) {
    const { spec, theme } = view;
    const [dimension] = view.dimensions;
    const { series, measures } = spec;
    const selection = view.selected(dimension);
    const faded = (label) => selection && !selection.has(label);
    let categories, bars;
    if (series) {
      ({ categories, bars } = split(view, dimension, series, measures[0]));
    } else {
      const { rows } = view.data;
      categories = rows.map((row) => row.labels[0]);
      bars = measures.map((name, m) => ({ name: view.label(name), measure: name, values: rows.map((row) => row.values[m]) }));
    }
    // Measures of different units have axes of their own.
    const units = [...new Set(bars.map(({ measure }) => view.source.measures[measure].unit))];
    const axes = units.length === 2 ? units : [units[0]];
    const room = (view.element.clientWidth - 70) / categories.length - 6;
    const category = {
      type: "category", data: categories.map(Pages.format.label), inverse: horizontal,
      axisTick: { show: false }, axisLine: { lineStyle: { color: theme.line } },
      axisLabel: horizontal
        ? { color: theme.muted, overflow: "truncate", width: Math.min(240, view.element.clientWidth * 0.42) }
        : room < 48
          ? { color: theme.muted, hideOverlap: true }
          : { color: theme.muted, overflow: "break", width: room, interval: 0 },
    };
    const values = axes.map((unit, n) => ({
      type: "value", splitNumber: view.element.clientWidth < 440 && horizontal ? 3 : 4, axisLine: { show: false },
      splitLine: { show: n === 0, lineStyle: { color: theme.line } },
      axisLabel: { color: theme.muted, hideOverlap: true, formatter: (value) => Pages.format.number(value, unit, true) },
    }));
    const few = bars.length > 1;
    view.chart({
      grid: { left: 6, right: 14, top: few ? 34 : 10, bottom: 6, outerBoundsMode: "same", outerBoundsContain: "all" },
      legend: few ? { type: "scroll", top: 0, left: 0, icon: "roundRect", itemWidth: 10, itemHeight: 10, textStyle: { color: theme.text }, pageTextStyle: { color: theme.muted } } : undefined,
      tooltip: {
        trigger: "axis", axisPointer: { type: "shadow", shadowStyle: { color: theme.line, opacity: 0.35 } }, className: "tooltip", confine: true,
        formatter: (params) => {
          const at = params[0].dataIndex;
          const tip = view.tooltip(Pages.format.label(categories[at]), bars
            .filter((bar) => bar.values[at] !== null && bar.values[at] !== undefined)
            .map((bar) => [bar.name, view.format(bar.measure, bar.values[at])]));
          const picture = Pages.glyph(spec.options.pictures?.[categories[at]]);
          if (picture) tip.prepend(picture);
          return tip;
        },
      },
      [horizontal ? "yAxis" : "xAxis"]: category,
      [horizontal ? "xAxis" : "yAxis"]: values,
      series: bars.map((bar, n) => ({
        type: "bar", name: bar.name, stack: stacked ? "all" : undefined, barMaxWidth: 34, barGap: "10%",
        [horizontal ? "xAxisIndex" : "yAxisIndex"]: Math.max(0, axes.indexOf(view.source.measures[bar.measure].unit)),
        itemStyle: { color: bar.colour ?? theme.series[n % theme.series.length], borderRadius: stacked ? 0 : horizontal ? [0, 3, 3, 0] : [3, 3, 0, 0] },
        emphasis: { focus: "none" },
        data: categories.map((label, at) => ({ value: bar.values[at] ?? null, itemStyle: { opacity: faded(label) ? 0.25 : 1 } })),
      })),
    }, {
      click: (params, event) => view.select(dimension, categories[params.dataIndex], event.ctrlKey || event.metaKey || event.shiftKey),
    });
    const unit = Pages.format.unit(units[0]);
    if (unit && axes.length === 1) view.say(unit);
  }

  // The figures of each series by category; the order of categories is that of their sums.
  function split(view, dimension, series, measure) {
    const { sort, top } = view.spec;
    const whole = view.query({ dimensions: [dimension], measures: [measure], sort, top });
    const categories = whole.rows.map((row) => row.labels[0]);
    const at = new Map(categories.map((label, n) => [label, n]));
    const bars = new Map();
    const { rows } = view.query({ dimensions: [series, dimension], measures: [measure], sort: "dimension" });
    for (const { labels: [name, category], values: [value] } of rows) {
      if (!at.has(category)) continue;
      if (!bars.has(name)) bars.set(name, { name: Pages.format.label(name), colour: view.colour(series, name), measure, values: categories.map(() => null) });
      bars.get(name).values[at.get(category)] = value;
    }
    if (whole.others) view.say(`${categories.length} of ${whole.others.of}`);
    return { categories, bars: [...bars.values()] };
  }

  for (const [kind, form] of Object.entries({
    bar: { horizontal: true }, stacked_bar: { horizontal: true, stacked: true },
    column: { horizontal: false }, stacked_column: { horizontal: false, stacked: true },
  })) {
    Pages.visuals[kind] = { ownFilter: true, draw: (view) => draw(view, form) };
  }
})();
