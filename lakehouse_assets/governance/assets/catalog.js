"use strict";
// The catalogue's pages, one for each address behind the "#".
(() => {
  const { make, catalog } = Pages;
  const main = document.querySelector("main");
  const tables = new Map(catalog.tables.map((table) => [table.name, table]));
  const deliveries = new Map(catalog.deliveries.map((delivery) => [delivery.name, delivery]));
  const models = new Map(catalog.models.map((model) => [model.name, model]));
  const pages = new Map(catalog.pages.map((page) => [page.name, page]));
  const SIDE = /_(rejects|quarantine)$/;
  const number = new Intl.NumberFormat("en");

  // What each column, table and term is used by.
  const group = (pairs) => {
    const found = new Map();
    for (const [key, value] of pairs) {
      if (!found.has(key)) found.set(key, []);
      if (!found.get(key).includes(value)) found.get(key).push(value);
    }
    return found;
  };
  const columnsOf = (table) => table.columns.map((column) => `${table.name}.${column.name}`);
  const downstream = group(catalog.tables.flatMap((table) => table.columns.flatMap((column) =>
    column.sources.map((source) => [source, `${table.name}.${column.name}`]))));
  const readers = group(catalog.tables.flatMap((table) => table.reads.map((read) => [read, table.name])));
  const termsOf = group(catalog.terms.flatMap((term) => [...term.columns, ...term.measures].map((name) => [name, term])));
  const modelsOf = group(catalog.models.flatMap((model) => model.sources.map((name) => [name, model])));
  const pagesOf = group(catalog.pages.flatMap((page) => [...page.columns, ...page.measures, ...page.tables].map((name) => [name, page])));
  const owners = group([...catalog.tables.map((table) => [table.owner, table.name]), ...catalog.terms.map((term) => [term.steward, null])]);

  const to = {
    table: (name) => `/table/${name}`,
    column: (name) => `/table/${name.replace(/\.([^.]*)$/, "/$1")}`,
    source: (name) => `/source/${name}`,
    term: (term) => `/term/${term.domain}/${encodeURIComponent(term.name)}`,
    model: (name) => `/model/${name}`,
    page: (name) => `/page/${name}`,
    owner: (name) => `/owner/${encodeURIComponent(name)}`,
  };
  const link = (href, text, attributes = {}) => make("a", { href: `#${href}`, ...attributes }, text);
  const tableLink = (name) => link(to.table(name), name);
  const columnLink = (name) => (name.includes("/") ? link(to.source(name.split(".")[0]), name) : link(to.column(name), name));
  const ownerLink = (name) => link(to.owner(name), name.replace(/^team:/, "Team "));
  const badge = (text, kind) => make("span", { class: `badge ${kind ?? text}` }, text);
  const section = (title, id, ...children) => make("section", { class: "part", id, "aria-label": title }, make("h2", {}, title), ...children);
  const list = (items) => make("ul", { class: "plain" }, ...items.map((item) => make("li", {}, item)));
  const plural = (count, one, many = `${one}s`) => `${number.format(count)} ${count === 1 ? one : many}`;
  // Text in which `code` is marked as in the declarations.
  const rich = (text) => text.split("`").map((part, n) => (n % 2 ? make("code", {}, part) : part));
  const moment = (text) => (text ? text.replace("T", " ").replace("Z", "") : "");

  function grid(heads, rows, caption) {
    return make("div", { class: "scroll", tabindex: "0", role: "group", "aria-label": caption },
      make("table", { class: "data" }, make("caption", { class: "hidden" }, caption),
        make("thead", {}, make("tr", {}, ...heads.map((head, n) =>
          make("th", { scope: "col", class: rows.some((row) => typeof row[n] === "number") ? "number" : null }, head)))),
        make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell, n) =>
          make(n ? "td" : "th", { scope: n ? null : "row", class: typeof cell === "number" ? "number" : null },
            cell === null || cell === undefined ? "" : typeof cell === "number" ? number.format(cell) : cell)))))));
  }

  function title(name, kind, description, ...more) {
    document.title = `${name} | Catalogue`;
    return make("div", { class: "title" }, make("div", {}, make("p", { class: "what" }, kind), make("h1", {}, name),
      make("p", {}, ...rich(description)), ...more));
  }

  function facts(pairs) {
    return make("dl", { class: "facts" }, ...pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) =>
      make("div", {}, make("dt", {}, name), make("dd", {}, ...[value].flat()))));
  }

  // Fresh, due or late: at the reader's time, because the file does not change.
  function freshness(table) {
    if (!table.stored) return badge("not built", "late");
    if (table.stored.damaged) return badge("damaged", "late");
    if (!table.ages) return null;
    const age = (Date.now() - Date.parse(table.stored.written_at)) / 1000;
    const state = age > table.ages.late ? "late" : age > table.ages.due ? "due" : "fresh";
    return make("span", { class: `badge ${state}`, title: `Due after ${plural(Math.round(table.ages.due / 8640) / 10, "day")}, late after ${plural(Math.round(table.ages.late / 86400), "day")}` }, state);
  }

  function lineageCell(name, sources) {
    const uses = downstream.get(name) ?? [];
    const learning = modelsOf.get(name) ?? [];
    const shown = pagesOf.get(name) ?? [];
    if (!sources.length && !uses.length && !learning.length && !shown.length) return make("span", { class: "muted" }, "–");
    const part = (head, links) => (links.length ? [make("dt", {}, head), ...links.map((one) => make("dd", {}, one))] : []);
    return make("details", { class: "lineage" }, make("summary", { title: `Lineage of ${name}` }, `${sources.length} ← · → ${uses.length}`),
      make("dl", {}, ...part("Computed from", sources.map(columnLink)), ...part("Used for", uses.map(columnLink)),
        ...part("Models learn from it", learning.map((model) => link(to.model(model.name), model.name))),
        ...part("Pages show it", shown.map((page) => link(to.page(page.name), page.title)))));
  }

  function columnsPart(table, chosen) {
    const keys = new Set(table.keys);
    const rows = table.columns.map((column) => {
      const name = `${table.name}.${column.name}`;
      const terms = termsOf.get(name) ?? [];
      return make("tr", { id: `column-${column.name}`, class: column.name === chosen ? "chosen" : null },
        make("th", { scope: "row" }, link(to.column(name), column.name), keys.has(column.name) ? badge("key") : null),
        make("td", { "data-label": "Type" }, make("code", {}, column.type),
          make("small", { class: "under" }, [column.unit, column.nullable ? null : "not null"].filter(Boolean).join(", "))),
        make("td", { "data-label": "Class" }, column.pii ? badge(column.pii, "pii") : ""),
        make("td", { "data-label": "Meaning" }, make("div", {}, ...rich(column.description)),
          column.allowed.length ? make("div", { class: "allowed" }, "One of ", ...column.allowed.flatMap((value, n) => [n ? ", " : "", make("code", {}, value)])) : null,
          terms.length ? make("div", { class: "terms" }, ...terms.map((term) => link(to.term(term), term.name, { class: "term" }))) : null,
          column.aliases.length ? make("small", {}, `Also ${column.aliases.join(", ")}`) : null),
        make("td", { "data-label": "Lineage" }, lineageCell(name, column.sources)));
    });
    return make("table", { class: "data columns" }, make("caption", { class: "hidden" }, "Columns"),
      make("thead", {}, make("tr", {}, ...["Column", "Type", "Class", "Meaning", "Lineage"].map((head) => make("th", { scope: "col" }, head)))), make("tbody", {}, ...rows));
  }

  function copyable(name, text) {
    const button = make("button", { type: "button", class: "tool", "aria-label": `Copy: ${name}` }, "Copy");
    const code = make("code", {}, text);
    button.addEventListener("click", async () => {
      try {
        await navigator.clipboard.writeText(text);
        button.textContent = "Copied";
      } catch {
        // A page from the disk may not use the clipboard: the text is selected for the keyboard.
        getSelection().selectAllChildren(code);
        button.textContent = "Selected";
      }
    });
    return make("div", { class: "snippet" }, make("span", {}, name), code, button);
  }

  function qualityPart(table) {
    const { rules, runs } = table.quality;
    if (!rules.length && !runs.length) return null;
    const failing = rules.filter((rule) => rule.failing_partitions).length;
    const strip = runs.length ? make("div", { class: "runs", role: "img", "aria-label": `The last ${plural(runs.length, "run")}: ${plural(runs.filter((run) => run.failing).length, "run")} with failing rules` },
      ...runs.map((run) => make("span", { class: run.failing ? "bad" : "good", title: `${moment(run.recorded_at)}: ${run.checked} checked, ${run.failing} failing` }))) : null;
    return section("Quality", "quality",
      make("p", { class: "note" }, failing ? `${failing} of ${plural(rules.length, "rule")} fail in some partition.` : `All ${plural(rules.length, "rule")} hold.`), strip,
      grid(["Rule", "Action", "Partitions", "Failing", "Failing rows", "Of rows", "Last checked (UTC)"],
        [...rules].sort((a, b) => b.failing_partitions - a.failing_partitions || (a.rule < b.rule ? -1 : 1)).map((rule) => [
          rule.rule, rule.action ?? "check", rule.partitions, rule.failing_partitions ? badge(String(rule.failing_partitions), "late") : badge("0", "fresh"),
          rule.failing_rows, rule.rows, moment(rule.recorded_at)]), "Latest verdicts of the rules"));
  }

  function nearby(table) {
    const nodes = new Map();
    const edges = [];
    const put = (name, least) => {
      if (nodes.has(name)) return;
      const of = tables.get(name);
      nodes.set(name, of ? { title: of.name.split(".")[1], kind: of.layer === "segments" ? "gold" : of.layer, href: to.table(name), least }
        : { title: name, kind: "source", href: to.source(name), least });
    };
    for (const read of table.reads) { put(read, 0); }
    put(table.name, table.reads.length ? 1 : 0);
    for (const read of table.reads) if (read !== table.name) edges.push([read, table.name]);
    for (const reader of readers.get(table.name) ?? []) if (reader !== table.name) { put(reader, 2); edges.push([table.name, reader]); }
    for (const model of catalog.models.filter((one) => one.learns_from === table.name)) {
      nodes.set(`model ${model.name}`, { title: model.name, kind: "model", href: to.model(model.name), least: 2 });
      edges.push([table.name, `model ${model.name}`]);
    }
    for (const page of pagesOf.get(table.name) ?? []) {
      nodes.set(`page ${page.name}`, { title: page.title, kind: "page", href: to.page(page.name), least: 2 });
      edges.push([table.name, `page ${page.name}`]);
    }
    return edges.length ? Pages.map.draw(nodes, edges, { marked: table.name, label: `What ${table.name} reads and what reads it` })
      : make("p", { class: "note" }, "It reads no table, and none reads it.");
  }

  function tablePage(name, column) {
    const table = tables.get(name);
    if (!table) return missing(name);
    const stored = table.stored && !table.stored.damaged ? table.stored : null;
    const parts = [
      section("Columns", "columns", columnsPart(table, column)),
      table.measures.length ? section("Measures", "measures", grid(["Measure", "Meaning", "Unit", "May be added up", "Expression", "Term"],
        table.measures.map((measure) => [measure.name, measure.description, measure.unit, measure.additivity.replace("_", " "), make("code", {}, measure.expression),
          make("span", {}, ...(termsOf.get(`${table.name}.${measure.name}`) ?? []).map((term) => link(to.term(term), term.name, { class: "term" })))]), "Measures")) : null,
      section("Lineage", "lineage", nearby(table)),
      table.sample.length ? section("Sample", "sample", make("p", { class: "note" }, "The first rows by key, of the newest partition. Personal data is masked."),
        grid(table.columns.map((one) => one.name), table.sample, "Sample rows")) : null,
      qualityPart(table),
      table.versions.length ? section("Versions", "versions", grid(["Version", "Committed (UTC)", "Operation", "Partition", "Run", "Code"],
        table.versions.map((version) => [String(version.version), moment(version.committed_at), version.operation, version.partition ?? "", (version.run ?? "").slice(0, 8), (version.code_version ?? "").slice(0, 12)]), "Versions")) : null,
      section("Rules and access", "access",
        facts([
          ["References", table.references.length ? list(table.references.map((reference) => make("span", {}, `${reference.columns.join(", ")} → `, tableLink(reference.table), reference.required ? "" : " (may be missing)"))) : null],
          ["Constraints", Object.keys(table.constraints).length ? list(Object.entries(table.constraints).map(([rule, text]) => make("span", {}, `${rule}: `, make("code", {}, text)))) : null],
          ["Who may read it", table.roles.length ? list(table.roles.map((role) => make("span", {}, make("b", {}, role.name), role.rows ? ` where ${role.rows}` : "", role.masked.length ? `; masked: ${role.masked.join(", ")}` : ""))) : "Only its owner"],
        ])),
      section("Use it", "use", copyable("SQL", `lakehouse sql "${table.sql}"`), copyable("Python", table.python),
        table.history ? make("p", { class: "note" }, "The name alone means the latest partition; ", make("code", {}, table.history), " has them all.") : null),
    ].filter(Boolean);
    const jump = make("nav", { class: "jump", "aria-label": "Parts of this page" }, ...parts.map((part) =>
      make("button", { type: "button", class: "tool", click: () => { part.scrollIntoView(); part.querySelector("h2").focus?.(); } }, part.getAttribute("aria-label"))));
    const [domain, bare] = [table.domain, table.name.slice(table.domain.length + 1)];
    return [
      title(bare, `Table of ${domain}`, table.description, make("p", { class: "badges" }, badge(table.layer === "segments" ? "gold" : table.layer), badge(table.kind, "plain"), table.topic ? badge(table.topic, "plain") : null, freshness(table))),
      facts([
        ["Owner", ownerLink(table.owner)],
        ["Rows", stored ? number.format(stored.rows) : null],
        ["Partitions", stored?.partitions ? `${number.format(stored.partitions)} by ${table.partition.grain} (${table.partition.column})` : table.partition ? `by ${table.partition.grain} (${table.partition.column})` : null],
        ["Version", stored ? `${stored.version}, written ${moment(stored.written_at)} UTC` : null],
        ["Key", table.keys.join(", ")],
        ["Other names", table.aliases.join(", ")],
        ["Problem", table.stored?.damaged ?? null],
      ]),
      jump, ...parts,
    ];
  }

  function sourcePage(name) {
    const delivery = deliveries.get(name);
    if (!delivery) return missing(name);
    return [
      title(delivery.name, delivery.system, delivery.description),
      facts([["Where", delivery.place], ["Owner", ownerLink(delivery.owner)], ["Arrives in", tableLink(delivery.bronze)], ["Cleaned in", delivery.silver ? tableLink(delivery.silver) : null]]),
      section("Fields", "fields", grid(["Field", "Meaning", "Unit", "Class", "Used for"], delivery.fields.map((field) => [
        field.name, field.description, field.unit ?? "", field.pii ? badge(field.pii, "pii") : "",
        list((downstream.get(`${delivery.name}.${field.name}`) ?? []).filter((one) => !SIDE.test(one.split(".")[1])).map(columnLink))]), "Fields")),
    ];
  }

  function termPage(domain, name) {
    const term = catalog.terms.find((one) => one.domain === domain && one.name === name);
    if (!term) return missing(name);
    const related = term.related.map((other) => catalog.terms.find((one) => one.domain === domain && one.name === other)).filter(Boolean);
    const byTable = group(term.columns.map((column) => [column.replace(/\.[^.]*$/, ""), column]));
    return [
      title(term.name, `Term of ${domain}`, term.definition),
      facts([["Steward", ownerLink(term.steward)], ["Also called", term.synonyms.join(", ")],
        ["See also", related.length ? related.flatMap((one, n) => [n ? ", " : "", link(to.term(one), one.name)]) : null]]),
      term.measures.length ? section("Measures", "measures", grid(["Measure", "Meaning", "Unit"], term.measures.map((full) => {
        const table = tables.get(full.replace(/\.[^.]*$/, ""));
        const measure = table.measures.find((one) => full === `${table.name}.${one.name}`);
        return [link(to.table(table.name), full), measure.description, measure.unit];
      }), "Measures")) : null,
      section("Columns", "columns", grid(["Table", "Columns"], [...byTable].map(([table, columns]) => [tableLink(table),
        make("span", {}, ...columns.flatMap((column, n) => [n ? ", " : "", link(to.column(column), column.slice(table.length + 1))]))]), "Columns")),
    ].filter(Boolean);
  }

  function glossaryPage() {
    const domains = [...new Set(catalog.terms.map((term) => term.domain))].sort();
    return [
      title("Glossary", plural(catalog.terms.length, "term"), "What the words of the business mean, who decides about them, and where they are in the data."),
      ...domains.map((domain) => section(domain, `glossary-${domain}`, make("dl", { class: "glossary" }, ...catalog.terms.filter((term) => term.domain === domain).flatMap((term) => [
        make("dt", {}, link(to.term(term), term.name)),
        make("dd", {}, term.definition, term.synonyms.length ? make("small", {}, `Also: ${term.synonyms.join(", ")}`) : null)])))),
    ];
  }

  function modelPage(name) {
    const model = models.get(name);
    if (!model) return missing(name);
    return [
      title(model.name, "Model", `Learns from ${model.learns_from}${model.target ? ` to predict ${model.target}` : ""}.`),
      facts([["Features", model.features.join(", ")], ["Scores", Object.entries(model.scores).map(([column, type]) => `${column} (${type})`).join(", ")],
        ["Learns from", tableLink(model.learns_from)], ["Scored tables", list(model.tables.map(tableLink))],
        ["Gates", model.gates.length ? list(model.gates.map((gate) => `${gate.name}: ${gate.description}`)) : null],
        ["Limits", model.limits.length ? list(model.limits) : null]]),
      section("Columns that it learns from", "sources", list(model.sources.map(columnLink))),
    ];
  }

  function pagePage(name) {
    const page = pages.get(name);
    if (!page) return missing(name);
    return [
      title(page.title, `Page of ${page.domain}`, page.description, Pages.folder ? make("p", {}, make("a", { href: `${Pages.folder}/${page.name}.html` }, "Open the page")) : null),
      facts([["Tables", list(page.tables.map((table) => tableLink(table)))]]),
      page.measures.length ? section("Measures", "measures", list(page.measures.map((measure) => link(to.table(measure.replace(/\.[^.]*$/, "")), measure)))) : null,
      page.columns.length ? section("Columns", "columns", list(page.columns.map(columnLink))) : null,
    ].filter(Boolean);
  }

  function ownerPage(name) {
    const owned = catalog.tables.filter((table) => table.owner === name);
    const terms = catalog.terms.filter((term) => term.steward === name);
    if (!owned.length && !terms.length) return missing(name);
    return [
      title(name.replace(/^team:/, "Team "), "Owner", `Owns ${plural(owned.length, "table")} and decides about ${plural(terms.length, "term")}.`),
      section("Tables", "tables", tablesGrid(owned)),
      terms.length ? section("Terms", "terms", make("p", { class: "terms" }, ...terms.map((term) => link(to.term(term), term.name, { class: "term" })))) : null,
    ].filter(Boolean);
  }

  function tablesGrid(shown) {
    return grid(["Table", "What a row is", "Rows", "Written (UTC)", "Freshness"], shown.map((table) => [tableLink(table.name), make("span", {}, ...rich(table.description.split(" In SQL:")[0])),
      table.stored?.rows ?? "", moment(table.stored?.written_at).slice(0, 16), freshness(table) ?? ""]), "Tables");
  }

  function collectionPage(name) {
    const collection = catalog.collections.find((one) => one.name === name);
    if (!collection) return missing(name);
    const of = (kind) => collection.entries.filter((entry) => entry.kind === kind).map((entry) => entry.name);
    const body = {
      table: () => tablesGrid(of("table").map((one) => tables.get(one))),
      delivery: () => grid(["Delivery", "What it is", "Where", "Arrives in"], of("delivery").map((one) => deliveries.get(one)).map((one) => [link(to.source(one.name), one.name), one.description, one.place, tableLink(one.bronze)]), "Deliveries"),
      model: () => grid(["Model", "Learns from", "Scores"], of("model").map((one) => models.get(one)).map((one) => [link(to.model(one.name), one.name), tableLink(one.learns_from), list(one.tables.map(tableLink))]), "Models"),
      page: () => grid(["Page", "What it is for", "Tables"], of("page").map((one) => pages.get(one)).map((one) => [link(to.page(one.name), one.title), one.description, list(one.tables.map((table) => tableLink(table)))]), "Pages"),
    };
    const kind = collection.entries[0].kind;
    return [title(collection.name, collection.group, plural(collection.entries.length, { table: "table", delivery: "delivery", model: "model", page: "page" }[kind], kind === "delivery" ? "deliveries" : undefined)), body[kind]()];
  }

  function mapPage() {
    const domains = [...new Set(catalog.tables.map((table) => table.domain))];
    const frame = make("div");
    const choose = make("select", { "aria-label": "Domain", change: () => show(choose.value) }, make("option", { value: "" }, "All domains"), ...domains.map((domain) => make("option", { value: domain }, domain)));
    const sides = make("input", { type: "checkbox", id: "sides", change: () => show(choose.value) });

    function show(domain) {
      const nodes = new Map();
      const edges = [];
      const kept = catalog.tables.filter((table) => (!domain || table.domain === domain) && (sides.checked || !SIDE.test(table.name)));
      for (const table of kept) {
        const layer = table.layer === "segments" ? "gold" : table.layer;
        nodes.set(table.name, { title: table.name.slice(table.domain.length + 1), kind: layer, href: to.table(table.name), least: { bronze: 1, silver: 2, gold: 3 }[layer] });
      }
      for (const table of kept) {
        for (const read of table.reads) {
          if (deliveries.has(read) && !nodes.has(read)) nodes.set(read, { title: `${deliveries.get(read).system}: ${read.split("/")[1]}`, kind: "source", href: to.source(read) });
          if (nodes.has(read) && read !== table.name) edges.push([read, table.name]);
        }
      }
      for (const model of catalog.models) {
        if (!nodes.has(model.learns_from)) continue;
        const name = `model ${model.name}`;
        nodes.set(name, { title: model.name, kind: "model", href: to.model(model.name) });
        edges.push([model.learns_from, name]);
        for (const table of model.tables) if (nodes.has(table)) edges.push([name, table]);
      }
      const last = 1 + Math.max(...[...nodes.values()].map((node) => node.least ?? 0)) + 3;
      for (const page of catalog.pages) {
        const shown = page.tables.filter((table) => nodes.has(table));
        if (!shown.length) continue;
        nodes.set(`page ${page.name}`, { title: page.title, kind: "page", href: to.page(page.name), least: last });
        for (const table of shown) edges.push([table, `page ${page.name}`]);
      }
      frame.replaceChildren(Pages.map.draw(nodes, edges, { label: "Data map: from sources over layers to models and pages" }));
    }
    show("");
    return [title("Data map", "Lineage", "From the sources over the layers to models and pages. Point at a box to see everything on its way; a click opens it."),
      make("div", { class: "slicers" }, choose, make("label", { for: "sides" }, sides, " with rejects and quarantine")), frame];
  }

  function homePage() {
    document.title = "Catalogue | Lakehouse";
    const groups = [...new Set(catalog.collections.map((collection) => collection.group))];
    const columns = catalog.tables.reduce((sum, table) => sum + table.columns.length, 0);
    const personal = catalog.tables.reduce((sum, table) => sum + table.columns.filter((column) => column.pii).length, 0);
    return [
      make("div", { class: "title" }, make("div", {}, make("h1", {}, "Catalogue"), make("p", {}, "What the lake holds, what it means, where it comes from and who may see it. Press / to search."))),
      make("section", { class: "counts", "aria-label": "In numbers" }, ...[[catalog.tables.length, "tables and views"], [columns, "columns"], [personal, "columns with personal data"], [catalog.terms.length, "terms"], [catalog.deliveries.length, "deliveries"], [catalog.models.length, "models"], [catalog.pages.length, "pages"]]
        .map(([count, what]) => make("div", { class: "count" }, make("b", {}, number.format(count)), make("span", {}, what)))),
      ...groups.map((name) => section(name, `group-${name}`, make("div", { class: "tiles" }, ...catalog.collections.filter((one) => one.group === name).map((one) =>
        link(`/collection/${encodeURIComponent(one.name)}`, "", { class: "tile" }))))),
      section("Owners", "owners", make("p", { class: "terms" }, ...[...owners.keys()].map((owner) => link(to.owner(owner), owner.replace(/^team:/, "Team "), { class: "term" })))),
    ];
  }

  function fillTiles() {
    for (const tile of main.querySelectorAll(".tile")) {
      const name = decodeURIComponent(tile.getAttribute("href").split("/").pop());
      const { entries } = catalog.collections.find((one) => one.name === name);
      const words = name.split(" ").map((word) => word[0].toUpperCase() + word.slice(1)).join(" ");
      const first = entries.filter((entry) => !SIDE.test(entry.name)).slice(0, 3).map((entry) => entry.name.split(/[./]/).pop());
      tile.append(make("h3", {}, words, make("span", { class: "muted" }, ` ${entries.length}`)), make("p", {}, first.join(", ") + (entries.length > 3 ? " …" : "")));
    }
  }

  const missing = (name) => [title("Not here", "Catalogue", `Nothing is called ${name}; search finds what there is.`)];

  function index() {
    for (const table of catalog.tables) {
      const weight = Pages.search.LAYER[table.layer] - (SIDE.test(table.name) ? 12 : 0);
      Pages.search.add("table", table.name, to.table(table.name), { names: table.aliases, text: table.description, note: table.description, weight });
      for (const column of table.columns) {
        Pages.search.add("column", `${table.name}.${column.name}`, to.column(`${table.name}.${column.name}`), { names: column.aliases, text: `${column.description} ${column.pii ?? ""} ${column.unit ?? ""}`, note: column.description, weight });
      }
      for (const measure of table.measures) Pages.search.add("measure", `${table.name}.${measure.name}`, to.table(table.name), { names: [measure.name.replaceAll("_", " ")], text: measure.description, note: measure.description });
    }
    for (const term of catalog.terms) Pages.search.add("term", term.name, to.term(term), { names: term.synonyms, text: term.definition, note: term.definition });
    for (const one of catalog.deliveries) Pages.search.add("source", one.name, to.source(one.name), { names: [one.system], text: `${one.description} ${one.place} ${one.fields.map((field) => field.name).join(" ")}`, note: `${one.system}: ${one.description}` });
    for (const model of catalog.models) Pages.search.add("model", model.name, to.model(model.name), { text: `${model.features.join(" ")} ${model.target ?? ""}`, note: `Learns from ${model.learns_from}` });
    for (const page of catalog.pages) Pages.search.add("page", page.title, to.page(page.name), { names: [page.name], text: page.description, note: page.description });
    for (const owner of owners.keys()) Pages.search.add("owner", owner.replace(/^team:/, "Team "), to.owner(owner), { names: [owner] });
  }

  const ROUTES = { table: tablePage, source: (...path) => sourcePage(path.join("/")), term: termPage, glossary: glossaryPage, model: modelPage, page: pagePage, owner: ownerPage, collection: collectionPage, map: mapPage };

  // Show the page of an address, such as /table/<domain>.<table>/<column>.
  Pages.open = (address) => {
    const [, kind = "", ...path] = address.split("/").map(decodeURIComponent);
    const parts = kind ? (ROUTES[kind]?.(...path) ?? missing(kind)) : homePage();
    main.replaceChildren(...parts);
    fillTiles();
    for (const item of document.querySelectorAll("header nav a")) {
      if (item.getAttribute("href") === `#/${kind}`) item.setAttribute("aria-current", "page");
      else item.removeAttribute("aria-current");
    }
    const chosen = main.querySelector("tr.chosen");
    scrollTo(0, 0);
    chosen?.scrollIntoView({ block: "center" });
    const open = chosen?.querySelector("details");
    if (open) open.open = true;
  };

  Pages.redraw = () => {};
  index();
  document.body.prepend(make("header", {}, make("a", { class: "brand", href: "#/" }, "Lakehouse"), Pages.search.box(),
    make("nav", { "aria-label": "Catalogue" }, link("/", "Catalogue"), link("/map", "Data map"), link("/glossary", "Glossary"),
      Pages.folder ? make("a", { href: `${Pages.folder}/index.html` }, "Pages") : null),
    make("button", { type: "button", class: "tool", click: Pages.theme.toggle, title: "Light or dark", "aria-label": "Switch between light and dark" }, "◐")));
  const show = () => Pages.open(location.hash.slice(1));
  addEventListener("hashchange", show);
  show();
})();
