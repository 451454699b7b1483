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
    const { clientWidth, clientHeight } = view.element;
    const narrow = clientWidth < 380;
    const middle = clientHeight * (narrow ? 0.43 : 0.5);
    const room = (clientWidth - 0.7 * Math.min(clientWidth, clientHeight)) / 2 - 22;
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
        text: view.format(measure, sum(chosen), true), subtext: view.label(measure), left: "center", top: middle - 24, itemGap: 9,
        textStyle: { color: theme.text, fontSize: 20, fontWeight: 650 }, subtextStyle: { color: theme.muted, fontSize: 12 },
      },
      series: [{
        type: "pie", radius: narrow ? ["50%", "74%"] : ["48%", "70%"], center: ["50%", middle], avoidLabelOverlap: true, minShowLabelAngle: 12, padAngle: 1,
        itemStyle: { borderRadius: 3 },
        label: { show: !narrow, color: theme.text, formatter: ({ dataIndex }) => `${Pages.format.label(rows[dataIndex].labels[0])}\n${share(rows[dataIndex].values[0])}`, lineHeight: 15, overflow: "break", width: Math.min(130, room) },
        labelLine: { lineStyle: { color: theme.line }, length: 8, length2: 8 },
        data: rows.map(({ labels: [label], values: [value] }) => ({
          name: Pages.format.label(label), value: Math.max(0, value ?? 0),
          itemStyle: { color: view.colour(dimension, label), opacity: selection && !selection.has(label) ? 0.25 : 1 },
        })),
      }],
    }, { click: ({ dataIndex }, event) => view.select(dimension, rows[dataIndex].labels[0], event.ctrlKey || event.metaKey || event.shiftKey) });
  },
};
