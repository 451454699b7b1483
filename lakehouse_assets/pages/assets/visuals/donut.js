"use strict";
// Shares of a whole.
Pages.visuals.donut = {
  ownFilter: true,
  draw(view) {
    const { theme } = view;
    const [dimension] = view.dimensions;
    const [measure] = view.spec.measures;
    const { rows } = view.data;
    const selection = view.selected(dimension);
    const chosen = rows.filter(({ labels: [label] }) => !selection || selection.has(label));
    const sum = (some) => some.reduce((total, { values: [value] }) => total + (value ?? 0), 0);
    const total = sum(rows);
    const share = (value) => Pages.format.number(total ? value / total : null, "share");
    view.chart({
      tooltip: {
        className: "tooltip", confine: true,
        formatter: ({ dataIndex }) => view.tooltip(Pages.format.label(rows[dataIndex].labels[0]), [
          [view.label(measure), view.format(measure, rows[dataIndex].values[0])],
          ["Share", share(rows[dataIndex].values[0])],
        ]),
      },
      title: {
        text: view.format(measure, sum(chosen), true), subtext: view.label(measure), left: "center", top: "center", itemGap: 2,
        textStyle: { color: theme.text, fontSize: 20, fontWeight: 650 }, subtextStyle: { color: theme.muted, fontSize: 12 },
      },
      series: [{
        type: "pie", radius: ["54%", "78%"], avoidLabelOverlap: true, minShowLabelAngle: 12, padAngle: 1,
        itemStyle: { borderRadius: 3 },
        label: { color: theme.text, formatter: ({ dataIndex }) => `${Pages.format.label(rows[dataIndex].labels[0])}\n${share(rows[dataIndex].values[0])}`, lineHeight: 15, overflow: "truncate", width: 110 },
        labelLine: { lineStyle: { color: theme.line }, length: 8, length2: 8 },
        data: rows.map(({ labels: [label], values: [value] }, n) => ({
          name: Pages.format.label(label), value: Math.max(0, value ?? 0),
          itemStyle: { color: theme.series[n % theme.series.length], opacity: selection && !selection.has(label) ? 0.25 : 1 },
        })),
      }],
    }, { click: ({ dataIndex }, event) => view.select(dimension, rows[dataIndex].labels[0], event.ctrlKey || event.metaKey || event.shiftKey) });
  },
};
