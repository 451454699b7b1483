/* Groups of rows in which a target is most frequent: the leaves of a small decision tree. */
"use strict";
(() => {
  const { html, refill, choose, ignored, percent, count } = Pages.parts;
  const METHOD = "Leaves of a decision tree of depth 3 by Gini impurity, none smaller than 2 % of all";

  /** A condition in words; the shorter of what the values are and what they are not. */
  function said(condition, column, { phrase }) {
    const others = column.values.filter((value) => value !== null && !condition.values.includes(value));
    const isNumeric = condition.values.every((value) => typeof value === "number");
    if (condition.values.length <= 2 || isNumeric || others.length >= condition.values.length) return `${condition.label} is ${phrase(condition.values)}`;
    return `${condition.label} is not ${phrase(others)}`;
  }

  function draw(view) {
    const { explaining } = Pages.parts;
    const target = explaining.targetOf(view);
    const columns = explaining.explained(view, target);
    const { segments, total, share } = Pages.analysis.topSegments(
      columns, target, explaining.mask(view, target), view.weight(view.spec.measures[0]));
    const words = segments.map((segment) => segment.conditions.map((one) =>
      said(one, columns.find((column) => column.name === one.column), explaining)));
    view.say(METHOD);
    view.table(
      [{ label: "Segment", numeric: false }, { label: "Conditions", numeric: false }, { label: `Share ${target.value}`, numeric: true },
       { label: "Population", numeric: true }, { label: "Share of all", numeric: true }],
      segments.map((one, place) => [`Segment ${place + 1}`, words[place].join(" and "), one.share, one.count, one.count / total]),
    );
    const items = segments.map((one, place) => html("li", {}, html("button", {
      type: "button", class: "segment", "data-key": `segment${place}`, "data-value": one.share,
      click: () => choose(view, Object.fromEntries(one.conditions.map(({ column, values }) => [column, values]))),
    },
    html("span", { class: "segment-share" }, percent(one.share)),
    html("span", { class: "segment-size" }, `${count(one.count)} (${percent(one.count / total)} of all)`),
    html("span", { class: "segment-words" }, ...words[place].map((text) => html("span", {}, text))),
    html("span", { class: "bar", style: { width: `${100 * one.share}%` } }))));
    refill(view,
      html("div", { class: "controls" }, html("span", {}, `${target.label} is `), explaining.chooser(view, target),
        html("span", { class: "muted" }, `${percent(share)} of ${count(total)}`)),
      segments.length
        ? html("ol", { class: "segments", "data-scroll": "list", "aria-label": `Segments with the most ${target.value}` }, ...items)
        : html("p", { class: "muted" }, "No segment clearly stands out."));
  }

  Pages.visuals.top_segments = { draw };
})();
