"use strict";
// One figure.
Pages.visuals.card = {
  draw(view) {
    const [measure] = view.spec.measures;
    const [row] = view.query({ dimensions: [], measures: [measure] }).rows;
    const value = row.values[0];
    const { unit, description } = view.source.measures[measure];
    const short = view.format(measure, value, true), long = view.format(measure, value);
    view.element.replaceChildren(
      Pages.make("p", { class: "figure", title: long, "data-value": value === null ? "" : String(value) }, short),
      Pages.make("p", { class: "meaning" }, [view.spec.note || description === `${view.spec.title}.` ? null : description, Pages.format.unit(unit) && `In ${unit}.`].filter(Boolean).join(" ")));
  },
};
