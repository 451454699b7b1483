/* Small pictures of kinds of things, for tooltips: drawn for this project, named by declarations. */
"use strict";
(() => {
  const SHAPES = {
    beach: "M4 42h40M24 42V16M8 22a16 12 0 0 1 32 0zM36 10a4 4 0 1 1 .1 0",
    mountain: "M4 42l14-26 8 14 6-10 12 22zM14 23l4 4 4-4M34 10a4 4 0 1 1 .1 0",
    bag: "M8 18h32l3 24H5zM16 18v-4a8 8 0 0 1 16 0v4M16 26a8 8 0 0 0 16 0",
    kitchen: "M8 18h32v14a10 10 0 0 1-10 10H18A10 10 0 0 1 8 32zM2 22h6M40 22h6M18 12c-3-3 3-5 0-8M26 12c-3-3 3-5 0-8",
    phone: "M14 4h20v40H14zM14 10h20M14 36h20M23 40h2",
    tablet: "M8 6h32v36H8zM8 34h32M23 38h2",
    laptop: "M10 10h28v22H10zM4 38h40l-4-6H8z",
    shirt: "M16 6l8 6 8-6 12 8-6 8-4-2v22H14V20l-4 2-6-8z",
    box: "M6 14l18-8 18 8v20l-18 8-18-8zM6 14l18 8 18-8M24 22v20",
    bottle: "M19 4h10v8l5 8v22H14V20l5-8zM14 26h20",
    home: "M6 24L24 8l18 16M12 20v22h24V20M20 42V30h8v12",
    book: "M24 12c-6-4-12-4-18-2v28c6-2 12-2 18 2 6-4 12-4 18-2V10c-6-2-12-2-18 2zM24 12v28",
  };

  /** The picture of a name in SHAPES; null for any other. */
  Pages.glyph = (name) => {
    if (!Object.hasOwn(SHAPES, name)) return null;
    const { svg } = Pages.parts;
    return svg("svg", { class: "glyph", viewBox: "0 0 48 48", "aria-hidden": "true" }, svg("path", { d: SHAPES[name] }));
  };
})();
