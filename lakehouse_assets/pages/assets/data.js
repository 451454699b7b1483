"use strict";
// Columns of the page's sources, and figures of groups of their rows.
Pages.data = (() => {
  const ARRAYS = {
    uint8: Uint8Array, int8: Int8Array, uint16: Uint16Array, int16: Int16Array,
    uint32: Uint32Array, int32: Int32Array, float64: Float64Array,
  };
  // Up to this many possible groups, a group is found in an array instead of a map.
  const DENSE = 4_000_000;

  function decode({ type, data }) {
    const text = atob(data);
    const bytes = new Uint8Array(text.length);
    for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
    return new ARRAYS[type](bytes.buffer);
  }

  function open(page) {
    const sources = {};
    for (const source of page.sources) {
      sources[source.name] = source;
      if (source.missing) continue;
      for (const dimension of Object.values(source.dimensions)) {
        dimension.codes = decode(dimension.codes);
      }
      for (const component of source.components) component.values = decode(component.values);
      // One bit for each filtered dimension whose filter a row fails.
      source.fails = new Uint32Array(source.rows);
      source.masks = new Map();
      // Number of changes of its filters.
      source.revision = 0;
    }
    return sources;
  }

  // Rows that pass the filters, except those of the excluded dimensions: 1 for each that does.
  function mask(source, exclude = []) {
    let ignored = 0;
    for (const name of exclude) ignored |= source.bits.get(name) ?? 0;
    let found = source.masks.get(ignored);
    if (!found) {
      const { fails } = source, kept = ~ignored;
      found = new Uint8Array(source.rows);
      for (let i = 0; i < found.length; i++) found[i] = (fails[i] & kept) === 0 ? 1 : 0;
      source.masks.set(ignored, found);
      Pages.passes++;
    }
    return found;
  }

  // The rows of a query: those of the mask that have the given labels, and, where a table holds
  // states, only the latest state of the selection.
  function rowsOf(source, { dimensions, exclude = [], where = {} }) {
    let rows = mask(source, exclude);
    const conditions = Object.entries(where).map(([name, labels]) => [
      name, Pages.filters.allowed(source.dimensions[name], labels),
    ]);
    if (source.state && !dimensions.includes(source.state)) {
      const { values } = source.dimensions[source.state];
      const allowed = Pages.filters.codesAllowed(source, source.state);
      let latest = values.length - 1;
      while (latest > 0 && allowed && !allowed[latest]) latest--;
      const only = new Uint8Array(values.length);
      if (latest >= 0) only[latest] = 1;
      conditions.push([source.state, only]);
    }
    for (const [name, allowed] of conditions) {
      const { codes } = source.dimensions[name];
      const kept = new Uint8Array(rows.length);
      for (let i = 0; i < kept.length; i++) kept[i] = rows[i] & allowed[codes[i]];
      rows = kept;
      Pages.passes++;
    }
    return rows;
  }

  // Number the groups of rows: each row's group, and each group's codes.
  function numbered(source, names, rows) {
    const columns = names.map((name) => source.dimensions[name]);
    const size = columns.reduce((product, column) => product * column.values.length, 1);
    const groups = new Int32Array(source.rows).fill(-1);
    const firsts = [];
    const dense = size <= DENSE ? new Int32Array(size).fill(-1) : null;
    const sparse = dense ? null : new Map();
    for (let i = 0; i < groups.length; i++) {
      if (!rows[i]) continue;
      let key = 0;
      for (const column of columns) key = key * column.values.length + column.codes[i];
      let group = dense ? dense[key] : sparse.get(key) ?? -1;
      if (group < 0) {
        group = firsts.length;
        firsts.push(i);
        if (dense) dense[key] = group;
        else sparse.set(key, group);
      }
      groups[i] = group;
    }
    Pages.passes++;
    // Without dimensions there is one group, even of no rows.
    const length = columns.length ? firsts.length : 1;
    const codes = columns.map((column) => Uint32Array.from(firsts, (first) => column.codes[first]));
    return { groups, length, codes };
  }

  function total({ operation, values, scale, size, missing }, groups, length) {
    Pages.passes++;
    if (operation === "distinct") {
      const seen = new Set(), counts = new Float64Array(length);
      for (let i = 0; i < groups.length; i++) {
        const group = groups[i];
        if (group < 0 || (missing && values[i] === 0)) continue;
        const key = group * size + values[i];
        if (!seen.has(key)) {
          seen.add(key);
          counts[group]++;
        }
      }
      return counts;
    }
    const totals = new Float64Array(length).fill(NaN);
    for (let i = 0; i < groups.length; i++) {
      const group = groups[i], value = values[i];
      if (group < 0 || value !== value) continue;
      const before = totals[group];
      if (before !== before) totals[group] = value;
      else if (operation === "sum") totals[group] = before + value;
      else if (operation === "min" ? value < before : value > before) totals[group] = value;
    }
    // Sums of whole numbers of the last digit are exact; the quotient is the decimal's double.
    if (scale) for (let g = 0; g < length; g++) totals[g] /= 10 ** scale;
    return totals;
  }

  function evaluate(tree, components, g) {
    if (!Array.isArray(tree)) return tree;
    const [operator, ...parts] = tree;
    if (operator === "component") return components[parts[0]][g];
    const values = parts.map((part) => evaluate(part, components, g));
    if (operator === "coalesce") return values.find((value) => value === value) ?? NaN;
    if (operator === "nullif") return values[0] === values[1] ? NaN : values[0];
    const [a, b] = values;
    if (operator === "+") return a + b;
    if (operator === "-") return a - b;
    if (operator === "*") return a * b;
    return b === 0 ? NaN : a / b;
  }

  function used(tree, found = new Set()) {
    if (Array.isArray(tree)) {
      if (tree[0] === "component") found.add(tree[1]);
      else tree.slice(1).forEach((part) => used(part, found));
    }
    return found;
  }

  // Figures of groups in typed arrays; NaN stands for null.
  function groups(source, { dimensions = [], measures = [], exclude = [], where = {} }) {
    const rows = rowsOf(source, { dimensions, exclude, where });
    const found = numbered(source, dimensions, rows);
    const trees = measures.map((name) => source.measures[name].expression);
    const components = {};
    for (const tree of trees) {
      for (const index of used(tree)) {
        components[index] ??= total(source.components[index], found.groups, found.length);
        // A count of no rows is zero, while a sum of no rows is null.
        if (source.components[index].count) {
          components[index] = components[index].map((value) => (value === value ? value : 0));
        }
      }
    }
    const values = trees.map((tree) => {
      const figures = new Float64Array(found.length);
      for (let g = 0; g < figures.length; g++) figures[g] = evaluate(tree, components, g);
      return figures;
    });
    return { length: found.length, codes: found.codes, values };
  }

  // Figures of groups as rows with labels, sorted; `others` says what `top` leaves out.
  function query(source, options) {
    const { dimensions = [], measures = [], sort = "measure", top = null } = options;
    const found = groups(source, options);
    const columns = dimensions.map((name) => source.dimensions[name].values);
    let rows = Array.from({ length: found.length }, (_, g) => ({
      codes: found.codes.map((codes) => codes[g]),
      labels: found.codes.map((codes, d) => columns[d][codes[g]]),
      values: found.values.map((values) => (Number.isNaN(values[g]) ? null : values[g])),
    }));
    const byCode = (a, b) => {
      for (let d = 0; d < a.codes.length; d++) {
        if (a.codes[d] !== b.codes[d]) return a.codes[d] - b.codes[d];
      }
      return 0;
    };
    const byMeasure = (a, b) =>
      (b.values[0] ?? -Infinity) - (a.values[0] ?? -Infinity) || byCode(a, b);
    rows.sort(sort === "measure" && measures.length ? byMeasure : byCode);
    let others = null;
    if (top && rows.length > top) {
      others = { count: rows.length - top, of: rows.length };
      rows = rows.slice(0, top);
    }
    return { dimensions, measures, rows, others };
  }

  return { open, mask, groups, query };
})();
