/* The analyses behind the visuals: plain functions over dictionary-coded columns, without a page.

   A column is {name, label, values, codes}: the value of row i is values[codes[i]]. A mask has 1 for
   each row that counts. A weight says how many things a row stands for; null: one each. */
"use strict";
(() => {
  // 99 % of a two-sided normal test.
  const Z = 2.58;
  // Nothing is said about groups with a smaller share of the rows.
  const LEAST_SHARE = 0.02;
  const DEPTH = 3;
  // Pixels; words in a cloud are smaller only where there is no room.
  const LEAST_SIZE = 9;
  // Numbers with more values than that are grouped by quartile.
  const MOST_NUMBERS = 8;

  /** Per column and value: how much there is, and how much of it has the target; one pass. */
  function counted(columns, target, members, weight) {
    const wanted = target.values.indexOf(target.value);
    const counts = columns.map((column) => ({
      all: new Float64Array(column.values.length),
      hits: new Float64Array(column.values.length),
    }));
    let total = 0;
    let hits = 0;
    for (const row of members) {
      const amount = weight ? weight[row] : 1;
      const hit = target.codes[row] === wanted;
      total += amount;
      if (hit) hits += amount;
      for (let place = 0; place < columns.length; place += 1) {
        const code = columns[place].codes[row];
        counts[place].all[code] += amount;
        if (hit) counts[place].hits[code] += amount;
      }
    }
    return { counts, total, hits };
  }

  function rowsOf(mask) {
    Pages.passes += 1;
    const members = new Int32Array(mask.length);
    let size = 0;
    for (let row = 0; row < mask.length; row += 1) {
      if (mask[row]) {
        members[size] = row;
        size += 1;
      }
    }
    return members.subarray(0, size);
  }

  /** The groups of a column that are looked at: its values, or quartiles of numbers. */
  function groupsOf(column, count) {
    const present = column.values.map((_, code) => code).filter((code) => count.all[code] > 0);
    const numbers = present.filter((code) => typeof column.values[code] === "number");
    if (numbers.length <= MOST_NUMBERS) return present.map((code) => [code]);
    numbers.sort((one, other) => column.values[one] - column.values[other]);
    const total = numbers.reduce((sum, code) => sum + count.all[code], 0);
    const groups = [[], [], [], []];
    let passed = 0;
    for (const code of numbers) {
      groups[Math.min(3, Math.floor((4 * passed) / total))].push(code);
      passed += count.all[code];
    }
    const others = present.filter((code) => !numbers.includes(code));
    return [...groups.filter((codes) => codes.length), ...others.map((code) => [code])];
  }

  function summed(count, codes) {
    let all = 0;
    let hits = 0;
    for (const code of codes) {
      all += count.all[code];
      hits += count.hits[code];
    }
    return { all, hits };
  }

  /**
   * Key influencers: how many times more likely the target is among rows with a value than among
   * the others: P(target | x) / P(target | not x). Kept are values that make it more likely with
   * z > 2.58 (two proportions, pooled) and that at least 2 % of the rows have.
   *
   * target: a column with the `value` to explain. Returns {found, total, share}; each of found has
   * column, label, values, ratio, share, shareOfOthers, count and z, the largest ratio first.
   */
  function keyInfluencers(columns, target, mask, weight) {
    const { counts, total, hits } = counted(columns, target, rowsOf(mask), weight);
    Pages.passes += 1;
    const found = [];
    columns.forEach((column, place) => {
      for (const codes of groupsOf(column, counts[place])) {
        const inside = summed(counts[place], codes);
        const others = total - inside.all;
        if (inside.all < LEAST_SHARE * total || others <= 0) continue;
        const share = inside.hits / inside.all;
        const shareOfOthers = (hits - inside.hits) / others;
        const overall = hits / total;
        const error = Math.sqrt(overall * (1 - overall) * (1 / inside.all + 1 / others));
        const z = (share - shareOfOthers) / error;
        // The error is zero where all rows have the target, or none.
        if (!(z > Z)) continue;
        const { name, label } = column;
        const values = codes.map((code) => column.values[code]);
        found.push({ column: name, label, values, ratio: share / shareOfOthers, share, shareOfOthers, count: inside.all, z });
      }
    });
    found.sort((one, other) => other.ratio - one.ratio || other.z - one.z);
    return { found, total, share: total ? hits / total : 0 };
  }

  const gini = (hits, total) => (total ? (2 * hits * (total - hits)) / total : 0);

  /**
   * Top segments: the leaves of a decision tree of depth 3 by Gini impurity, whose splits ask
   * whether a column has a value (of numbers: is in a quartile) or not.
   *
   * Returns {segments, leaves, total, share}; segments are the leaves with more of the target than
   * overall, the highest share first, each with count, hits, share and conditions: the values that
   * its rows have in the columns that were asked about.
   */
  function topSegments(columns, target, mask, weight) {
    const all = rowsOf(mask);
    const whole = counted(columns, target, all, weight);
    // Each level of the tree reads each row once.
    Pages.passes += 1 + DEPTH;
    const least = LEAST_SHARE * whole.total;
    const leaves = [];

    function bestSplit({ counts, total, hits }) {
      let best = null;
      const before = gini(hits, total);
      columns.forEach((_, place) => {
        for (const codes of groupsOf(columns[place], counts[place])) {
          const inside = summed(counts[place], codes);
          const others = total - inside.all;
          if (Math.min(inside.all, others) < least || others <= 0) continue;
          const gain = before - gini(inside.hits, inside.all) - gini(hits - inside.hits, others);
          if (gain > 1e-9 * total && (!best || gain > best.gain)) best = { gain, place, codes };
        }
      });
      return best;
    }

    function grow(members, known, depth, asked) {
      const best = depth < DEPTH ? bestSplit(known) : null;
      if (!best) {
        const { counts, total, hits } = known;
        const conditions = [...new Set(asked)].map((place) => ({
          column: columns[place].name,
          label: columns[place].label,
          values: columns[place].values.filter((_, code) => counts[place].all[code] > 0),
        }));
        leaves.push({ conditions, count: total, hits, share: total ? hits / total : 0 });
        return;
      }
      const isIn = new Uint8Array(columns[best.place].values.length);
      for (const code of best.codes) isIn[code] = 1;
      const { codes } = columns[best.place];
      for (const side of [1, 0]) {
        const part = members.filter((row) => isIn[codes[row]] === side);
        grow(part, counted(columns, target, part, weight), depth + 1, [...asked, best.place]);
      }
    }
    if (all.length) grow(all, whole, 0, []);
    const share = whole.total ? whole.hits / whole.total : 0;
    const segments = leaves.filter((leaf) => leaf.share > share);
    segments.sort((one, other) => other.share - one.share || other.count - one.count);
    return { segments, leaves, total: whole.total, share };
  }

  /**
   * Places for all tags of a cloud in a box: each on a spiral around the middle, the heaviest
   * first, without overlaps. Where one finds no room, all become smaller, so that none is left out.
   *
   * tags: [{text, weight}]; widthOf(text, size): width of a text. Returns the tags with size, and
   * x and y of their middle.
   */
  function layoutCloud(tags, width, height, widthOf) {
    const ordered = [...tags].sort((one, other) => other.weight - one.weight || (one.text < other.text ? -1 : 1));
    const most = Math.max(0, ...ordered.map((tag) => tag.weight || 0));
    const share = (tag) => (most > 0 ? Math.max(tag.weight || 0, 0) / most : 1);
    for (let scale = 1; ; scale *= 0.88) {
      const largest = Math.min(64, height / 4) * scale;
      const boxes = ordered.map((tag) => {
        const size = Math.max(Math.min(LEAST_SIZE, largest), largest * (0.25 + 0.75 * Math.sqrt(share(tag))));
        return { ...tag, size, w: widthOf(tag.text, size) + size * 0.3, h: size * 1.2 };
      });
      const area = boxes.reduce((sum, box) => sum + box.w * box.h, 0);
      if (area > 0.5 * width * height) continue;
      const placed = [];
      if (boxes.every((box) => roomFor(box, placed, width, height) && placed.push(box))) return placed;
    }
  }

  function roomFor(box, placed, width, height) {
    const apart = (other) =>
      Math.abs(box.x - other.x) * 2 >= box.w + other.w || Math.abs(box.y - other.y) * 2 >= box.h + other.h;
    // What was in the way a step ago mostly still is.
    let blocking;
    for (let angle = 0, distance = 0; distance <= width; angle += 0.25, distance = 2.2 * angle) {
      box.x = width / 2 + distance * Math.cos(angle);
      box.y = height / 2 + distance * (height / width) * Math.sin(angle);
      const inside = box.x >= box.w / 2 && box.x + box.w / 2 <= width && box.y >= box.h / 2 && box.y + box.h / 2 <= height;
      if (!inside || (blocking && !apart(blocking))) continue;
      blocking = placed.find((other) => !apart(other));
      if (!blocking) return true;
    }
    return false;
  }

  /**
   * Places for the nodes of a graph without cycles: in columns, from what is read to what reads it;
   * within a column each near the middle of its neighbours, so that few edges cross.
   *
   * ids: names of the nodes; edges: [[from, to]]. Returns a Map of {column, row} by id.
   */
  function layered(ids, edges) {
    const before = new Map(ids.map((id) => [id, []]));
    const after = new Map(ids.map((id) => [id, []]));
    for (const [from, to] of edges) {
      before.get(to).push(from);
      after.get(from).push(to);
    }
    const column = new Map();
    function columnOf(id, path) {
      if (path.includes(id)) throw new Error(`The graph has a cycle: ${[...path, id].join(", ")}.`);
      if (!column.has(id)) {
        const left = before.get(id).map((other) => columnOf(other, [...path, id]));
        column.set(id, Math.max(-1, ...left) + 1);
      }
      return column.get(id);
    }
    const columns = [];
    for (const id of ids) (columns[columnOf(id, [])] ||= []).push(id);
    const row = new Map();
    const number = (list) => list.forEach((id, place) => row.set(id, place - list.length / 2));
    columns.forEach(number);
    for (let sweep = 0; sweep < 8; sweep += 1) {
      const neighbours = sweep % 2 ? after : before;
      for (const list of sweep % 2 ? [...columns].reverse() : columns) {
        const middle = new Map(list.map((id) => {
          const others = neighbours.get(id);
          return [id, others.length ? others.reduce((sum, other) => sum + row.get(other), 0) / others.length : row.get(id)];
        }));
        list.sort((one, other) => middle.get(one) - middle.get(other));
        number(list);
      }
    }
    return new Map(columns.flatMap((list, at) => list.map((id, place) => [id, { column: at, row: place }])));
  }

  /** Everything that a node comes from, and everything that comes from it. */
  function reached(id, edges) {
    function walk(from, to) {
      const seen = new Set();
      const open = [id];
      while (open.length) {
        const here = open.pop();
        for (const edge of edges) {
          if (edge[from] === here && !seen.has(edge[to])) {
            seen.add(edge[to]);
            open.push(edge[to]);
          }
        }
      }
      return seen;
    }
    return { sources: walk(1, 0), readers: walk(0, 1) };
  }

  /** An island on both sides of the date line in one piece; Antarctica, around the pole, stays. */
  function acrossTheDateLine(points) {
    const longitudes = points.map(([x]) => x);
    const isSplit = Math.max(...longitudes) - Math.min(...longitudes) > 300 && points.every(([, y]) => y > -80);
    return isSplit ? points.map(([x, y]) => [x < 0 ? x + 360 : x, y]) : points;
  }

  /** Outlines of an object of a TopoJSON file, as GeoJSON. */
  function outlines(topology, name) {
    const { scale, translate } = topology.transform;
    const arcs = topology.arcs.map((arc) => {
      let x = 0;
      let y = 0;
      return arc.map(([dx, dy]) => {
        x += dx;
        y += dy;
        return [x * scale[0] + translate[0], y * scale[1] + translate[1]];
      });
    });
    const ring = (indices) => acrossTheDateLine(indices.flatMap((index, place) =>
      (index < 0 ? [...arcs[~index]].reverse() : arcs[index]).slice(place ? 1 : 0)));
    const features = topology.objects[name].geometries.map((geometry) => ({
      type: "Feature",
      properties: { name: geometry.properties.name },
      geometry: {
        type: "MultiPolygon",
        coordinates: (geometry.type === "Polygon" ? [geometry.arcs] : geometry.arcs).map((rings) => rings.map(ring)),
      },
    }));
    return { type: "FeatureCollection", features };
  }

  Pages.analysis = { keyInfluencers, topSegments, layoutCloud, layered, reached, outlines };
})();
