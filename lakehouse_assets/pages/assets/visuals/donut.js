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
    // A narrow picture has no room for labels beside the ring.
    const narrow = view.element.clientWidth < 460;
    const middle = narrow ? "43%" : "50%";
    view.chart({
      legend: narrow ? { type: "scroll", bottom: 0, icon: "roundRect", itemWidth: 10, itemHeight: 10, textStyle: { color: theme.text }, pageTextStyle: { color: theme.muted } } : undefined,
      tooltip: {
        className: "tooltip", confine: true,
        formatter: ({ dataIndex }) => view.tooltip(Pages.format.label(rows[dataIndex].labels[0]), [
          [view.label(measure), view.format(measure, rows[dataIndex].values[0])],
          ["Share", share(rows[dataIndex].values[0])],
        ]),
      },
      title: {
        text: view.format(measure, sum(chosen), true), subtext: view.label(measure), left: "center", top: narrow ? "34%" : "42%", itemGap: 5,
        textStyle: { color: theme.text, fontSize: 20, fontWeight: 650 }, subtextStyle: { color: theme.muted, fontSize: 12 },
      },
      series: [{
        type: "pie", radius: narrow ? ["50%", "74%"] : ["54%", "78%"], center: ["50%", middle], avoidLabelOverlap: true, minShowLabelAngle: 12, padAngle: 1,
        itemStyle: { borderRadius: 3 },
        label: { show: !narrow, color: theme.text, formatter: ({ dataIndex }) => `${Pages.format.label(rows[dataIndex].labels[0])}\n${share(rows[dataIndex].values[0])}`, lineHeight: 15, overflow: "truncate", width: 110 },
        labelLine: { lineStyle: { color: theme.line }, length: 8, length2: 8 },
        data: rows.map(({ labels: [label], values: [value] }, n) => ({
          name: Pages.format.label(label), value: Math.max(0, value ?? 0),
          itemStyle: { color: theme.series[n % theme.series.length], opacity: selection && !selection.has(label) ? 0.25 : 1 },
        })),
      }],
    }, { click: ({ dataIndex }, event) => view.select(dimension, rows[dataIndex].labels[0], event.ctrlKey || event.metaKey || event.shiftKey) });
  },
};
