"use strict";
// The selection, kept in the fragment of the address, so that links, other pages and the browser's
// history keep it.
Pages.filters = (() => {
  const NULL = "\u2205";
  // Dimension -> {labels: Set} or {from, to}.
  let chosen = new Map();
  // Title of a visual -> its own state.
  let kept = new Map();

  const depth = () => history.state?.depth ?? 0;
  // A label that begins with the sign for null gets one more, so that the two differ.
  const text = (label) => {
    if (label === null || label === undefined) return NULL;
    const found = String(label);
    return found.startsWith(NULL) ? NULL + found : found;
  };

  function read() {
    chosen = new Map();
    kept = new Map();
    for (const part of location.hash.slice(1).split("&").filter(Boolean)) {
      const at = part.indexOf("=");
      const [name, value] = [part.slice(0, at), part.slice(at + 1)];
      try {
        if (name.startsWith("~")) {
          kept.set(decodeURIComponent(name.slice(1)), JSON.parse(decodeURIComponent(value)));
        } else if (value.includes("..")) {
          const [from, to] = value.split("..").map(decodeURIComponent);
          chosen.set(decodeURIComponent(name), { from, to });
        } else {
          const labels = new Set(value.split("|").map(decodeURIComponent));
          chosen.set(decodeURIComponent(name), { labels });
        }
      } catch {
        // A truncated link selects nothing.
      }
    }
  }

  function fragment(withStates = true) {
    const parts = [];
    for (const [name, filter] of chosen) {
      const value = filter.labels
        ? [...filter.labels].map(encode).join("|")
        : `${encode(filter.from)}..${encode(filter.to)}`;
      parts.push(`${encode(name)}=${value}`);
    }
    if (withStates) {
      for (const [title, state] of kept) {
        parts.push(`~${encode(title)}=${encode(JSON.stringify(state))}`);
      }
    }
    return parts.join("&");
  }

  // A full stop is encoded, too: two of them divide a range.
  const encode = (value) =>
    encodeURIComponent(value).replaceAll(".", "%2E").replaceAll("'", "%27");

  // One step of the history for everything that is selected at once.
  let waiting = false;
  function write() {
    if (waiting) return;
    waiting = true;
    queueMicrotask(go);
  }

  function go() {
    waiting = false;
    const now = `#${fragment()}`;
    if (now === location.hash || (now === "#" && !location.hash)) return;
    // The event `hashchange` redraws. Each entry of the browser's history knows how many selections
    // of this page are before it.
    const before = depth();
    location.hash = now;
    history.replaceState({ depth: before + 1 }, "");
  }

  // 1 for each value of a dimension that a filter or a list of labels lets through.
  function allowed(dimension, filter) {
    const found = new Uint8Array(dimension.values.length);
    const listed = Array.isArray(filter) || filter instanceof Set;
    const labels = listed ? new Set([...filter].map(text)) : filter.labels;
    if (labels) {
      dimension.values.forEach((value, code) => (found[code] = labels.has(text(value)) ? 1 : 0));
      return found;
    }
    const number = dimension.type === "number";
    const [from, to] = [filter.from, filter.to].map((v) => (v === "" ? null : number ? +v : v));
    dimension.values.forEach((value, code) => {
      // A range that ends with a month includes the month's days.
      const until = !number && typeof to === "string" ? String(value).slice(0, to.length) : value;
      const inside = value !== null && (from === null || value >= from) && (to === null || until <= to);
      found[code] = inside ? 1 : 0;
    });
    return found;
  }

  // Bring each source's bits up to date with the selection.
  function apply(sources) {
    for (const source of Object.values(sources)) {
      if (source.missing) continue;
      source.bits ??= new Map();
      source.applied ??= new Map();
      for (const [name, dimension] of Object.entries(source.dimensions)) {
        const filter = chosen.get(name);
        const key = filter ? JSON.stringify([...(filter.labels ?? [filter.from, filter.to, ""])]) : "";
        if ((source.applied.get(name) ?? "") === key) continue;
        source.applied.set(name, key);
        if (!source.bits.has(name)) source.bits.set(name, (1 << source.bits.size) >>> 0);
        const bit = source.bits.get(name), { fails } = source, { codes } = dimension;
        if (filter) {
          const passes = allowed(dimension, filter);
          for (let i = 0; i < fails.length; i++) {
            fails[i] = passes[codes[i]] ? fails[i] & ~bit : fails[i] | bit;
          }
        } else {
          for (let i = 0; i < fails.length; i++) fails[i] &= ~bit;
        }
        Pages.passes++;
        source.revision++;
        source.masks.clear();
      }
    }
  }

  function codesAllowed(source, name) {
    const filter = chosen.get(name);
    return filter ? allowed(source.dimensions[name], filter) : null;
  }

  function set(name, filter) {
    if (filter && filter.labels && !filter.labels.size) filter = null;
    if (filter) chosen.set(name, filter);
    else chosen.delete(name);
    write();
  }

  // Select one label or several; selecting them again clears the selection.
  function select(name, labels, additive = false) {
    const wanted = (Array.isArray(labels) ? labels : [labels]).map(text);
    const before = chosen.get(name)?.labels ?? new Set();
    const had = wanted.every((label) => before.has(label));
    let now = new Set(additive ? before : []);
    if (had && (additive || before.size === wanted.length)) {
      for (const label of wanted) now.delete(label);
      if (!additive) now = new Set();
    } else {
      for (const label of wanted) now.add(label);
    }
    set(name, { labels: now });
  }

  function selectAll(labels) {
    for (const [name, some] of Object.entries(labels)) {
      chosen.set(name, { labels: new Set((Array.isArray(some) ? some : [some]).map(text)) });
    }
    write();
  }

  function keep(title, state) {
    if (state && Object.keys(state).length) kept.set(title, state);
    else kept.delete(title);
    write();
  }

  function undo() {
    if (depth()) history.back();
  }

  function clear() {
    chosen = new Map();
    kept = new Map();
    write();
  }

  addEventListener("hashchange", () => {
    read();
    Pages.redraw();
  });

  return {
    read, apply, allowed, codesAllowed, set, select, selectAll, keep, undo, clear, fragment, text,
    get: (name) => chosen.get(name) ?? null,
    state: (title) => kept.get(title) ?? {},
    all: () => chosen,
    canUndo: () => depth() > 0,
    any: () => chosen.size + kept.size > 0,
  };
})();
