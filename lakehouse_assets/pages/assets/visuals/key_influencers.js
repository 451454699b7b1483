/* Which values of which dimensions go with a target, by ratio of shares. */
"use strict";
(() => {
  const { html, refill, choose, ignored, columnsOf, percent, count } = Pages.parts;
  const METHOD = "Share with the value divided by the share without it (z > 2.58, at least 2 % of all); not Power BI's logistic regression";

  function phrase(values) {
    if (values.length === 1) return Pages.format.label(values[0]);
    if (values.every((value) => typeof value === "number")) return `${Math.min(...values)} to ${Math.max(...values)}`;
    return values.map(Pages.format.label).join(" or ");
  }

  /** The target's column with the value that the reader asks about. */
  function targetOf(view) {
    const [name, declared] = view.spec.target;
    const [column] = columnsOf(view, [name]);
    const asked = view.state.target ?? declared;
    const value = column.values.find((one) => String(one) === String(asked));
    return { ...column, value };
  }

  /** Choose the target's value. */
  function chooser(view, target) {
    const options = target.values.filter((value) => value !== null)
      .map((value) => html("option", { value, selected: value === target.value }, Pages.format.label(value)));
    const select = html("select", { "data-key": "target", "aria-label": `Value of ${target.label} to explain` }, ...options);
    select.addEventListener("change", () => view.keep({ ...view.state, target: select.value }));
    return select;
  }

  const mask = (view, target) => view.mask([target.name, ...ignored(view)]);
  const explained = (view, target) => columnsOf(view, view.spec.dimensions.filter((name) => name !== target.name));

  function draw(view) {
    const target = targetOf(view);
    const { found, total, share } = Pages.analysis.keyInfluencers(
      explained(view, target), target, mask(view, target), view.weight(view.spec.measures[0]));
    view.say(METHOD);
    view.table(
      [{ label: "Dimension", numeric: false }, { label: "Value", numeric: false }, { label: "Times more likely", numeric: true },
       { label: "Share with it", numeric: true }, { label: "Share without it", numeric: true }, { label: "Count", numeric: true }, { label: "z", numeric: true }],
      found.map((one) => [one.label, phrase(one.values), one.ratio, one.share, one.shareOfOthers, one.count, one.z]),
    );
    const most = Math.max(...found.map((one) => Math.min(one.ratio, 100)));
    const items = found.map((one) => html("li", {}, html("button", {
      type: "button", class: "influencer", "data-key": `${one.column}|${phrase(one.values)}`, "data-value": one.ratio,
      title: `${percent(one.share)} of ${count(one.count)}; ${percent(one.shareOfOthers)} of the others`,
      "aria-pressed": String(one.values.every((value) => view.selected(one.column)?.has(value))),
      click: () => choose(view, { [one.column]: one.values }),
    },
    html("span", { class: "influence" }, `${one.label} is `, html("b", {}, phrase(one.values))),
    html("span", { class: "times" }, Number.isFinite(one.ratio) ? `${one.ratio.toFixed(2)}×` : "only here"),
    html("span", { class: "bar", style: { width: `${(100 * Math.min(one.ratio, 100)) / most}%` } }))));
    refill(view,
      html("div", { class: "controls" }, html("span", {}, `${target.label} is `), chooser(view, target),
        html("span", { class: "muted" }, `${percent(share)} of ${count(total)}`)),
      found.length
        ? html("ol", { class: "influencers", "data-scroll": "list", "aria-label": `Makes ${target.label} = ${target.value} more likely` }, ...items)
        : html("p", { class: "muted" }, "No value clearly raises the likelihood."));
  }

  Pages.parts.explaining = { phrase, targetOf, chooser, mask, explained };
  Pages.visuals.key_influencers = { draw };
})();
