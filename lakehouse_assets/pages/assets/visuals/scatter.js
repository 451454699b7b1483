/* A point for each value of a dimension, coloured by a series; for 100,000 points and more. */
"use strict";
(() => {
  const { axis, legend, tooltip } = Pages.parts;

  // From here on points are drawn in bulk.
  const MANY = 3000;

  /** Points by series: x, y, size and code of the dimension, in flat arrays. */
  function pointsOf(view) {
    const { dimensions: [dimension], measures, series } = view.spec;
    const groups = view.groups({ dimensions: series ? [dimension, series] : [dimension], measures });
    const colours = series ? view.source.dimensions[series].values : [view.label(measures[1])];
    const sizes = new Uint32Array(colours.length);
    const [x, y] = groups.values;
    const isShown = (place) => !Number.isNaN(x[place]) && !Number.isNaN(y[place]);
    const colourOf = (place) => (series ? groups.codes[1][place] : 0);
    for (let place = 0; place < groups.length; place += 1) if (isShown(place)) sizes[colourOf(place)] += 1;
    const parts = colours.map((name, code) => ({ name, places: new Uint32Array(sizes[code]), data: new Float64Array(2 * sizes[code]) }));
    sizes.fill(0);
    for (let place = 0; place < groups.length; place += 1) {
      if (!isShown(place)) continue;
      const at = colourOf(place);
      const part = parts[at];
      part.places[sizes[at]] = place;
      part.data[2 * sizes[at]] = x[place];
      part.data[2 * sizes[at] + 1] = y[place];
      sizes[at] += 1;
    }
    return { groups, parts: parts.filter((part) => part.places.length) };
  }

  function radius(view, groups) {
    const third = groups.values[2];
    if (!third || groups.length > MANY) return () => (groups.length > MANY ? 3 : 7);
    let most = 0;
    for (const value of third) if (value > most) most = value;
    return (place) => 4 + 28 * Math.sqrt(Math.max(0, third[place] || 0) / (most || 1));
  }

  function draw(view) {
    const { dimensions: [dimension], measures, series } = view.spec;
    const { groups, parts } = pointsOf(view);
    const label = (place) => view.source.dimensions[dimension].values[groups.codes[0][place]];
    const size = radius(view, groups);
    // Points of several sizes are drawn one by one, which takes seconds for so many.
    const sized = groups.values[2] && groups.length <= MANY;
    if (groups.values[2] && !sized) view.say(`More than ${Pages.format.number(MANY)} points, so all have the same size`);
    const scale = (measure, name) => axis(view.theme, (value) => view.format(measure, value, true), { name: view.label(measure), ...name });
    view.table(
      [dimension, ...(series ? [series] : [])].map((name) => ({ name, label: view.label(name), numeric: false }))
        .concat(measures.map((name) => ({ name, label: view.label(name), numeric: true }))),
      () => Array.from({ length: groups.length }, (_, place) => [label(place), ...(series ? [view.source.dimensions[series].values[groups.codes[1][place]]] : []),
        ...groups.values.map((values) => (Number.isNaN(values[place]) ? null : values[place]))]));
    const placeOf = ({ seriesIndex, dataIndex }) => parts[seriesIndex].places[dataIndex];
    view.chart({
      grid: { left: 4, right: 20, top: series ? 60 : 34, bottom: 22, containLabel: true },
      legend: series ? legend(view.theme) : undefined,
      xAxis: scale(measures[0], { nameLocation: "middle", nameGap: 26 }),
      yAxis: scale(measures[1], { nameLocation: "end", nameTextStyle: { align: "left", color: view.theme.muted } }),
      tooltip: tooltip((point) => view.tooltip(`${view.label(dimension)}: ${Pages.format.label(label(placeOf(point)))}`, [
        ...(series ? [[view.label(series), point.seriesName]] : []),
        ...measures.map((name, at) => [view.label(name), view.format(name, groups.values[at][placeOf(point)])])])),
      series: parts.map((part) => ({
        type: "scatter", name: Pages.format.label(part.name), dimensions: ["x", "y"], data: part.data,
        symbolSize: sized ? (_, { dataIndex }) => size(part.places[dataIndex]) : size(0),
        large: !sized, largeThreshold: MANY, progressive: 0,
        itemStyle: { opacity: groups.length > MANY ? 0.5 : 0.75, color: series ? view.colour(series, part.name) : view.theme.series[0] },
      })),
    }, { click: (point) => (series ? view.select(series, parts[point.seriesIndex].name) : view.select(dimension, label(placeOf(point)))) });
  }

  Pages.visuals.scatter = { draw };
})();
