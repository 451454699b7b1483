"use strict";
// The one global of a page. Files are classic scripts, because browsers load no modules from file://.
const Pages = {
  // Kinds of visuals by name, see docs/how-to/pages.md.
  visuals: {},
  // Passes over the rows of a source since the page was opened.
  passes: 0,
  // Whether everything has been drawn since the last change.
  settled: false,
  start() {
    Pages.model = Pages.data.open(Pages.page);
    Pages.filters.read();
    Pages.layout.build(document.querySelector("main"));
    Pages.redraw();
  },
  redraw() {
    Pages.settled = false;
    Pages.filters.apply(Pages.model);
    Pages.slicers.update();
    Pages.layout.update();
    Pages.settled = true;
  },
  // Make an element: tag, attributes (functions are listeners), children (nodes or texts).
  make(tag, attributes = {}, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes)) {
      if (typeof value === "function") element.addEventListener(name, value);
      else if (value === true) element.setAttribute(name, "");
      else if (value !== false && value != null) element.setAttribute(name, value);
    }
    element.append(...children.filter((child) => child != null));
    return element;
  },
};
