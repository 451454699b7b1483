"use strict";
// Search over everything that the catalogue names, and the box that shows what it finds.
Pages.search = (() => {
  const { make } = Pages;
  const MOST = 40;
  // Of two equal hits, the one that people rather look for comes first.
  const WEIGHT = { table: 30, term: 28, page: 22, model: 20, source: 16, owner: 14, measure: 10, column: 0 };
  const LAYER = { gold: 6, segments: 6, silver: 2, bronze: 0 };
  const entries = [];

  function add(kind, title, href, { names = [], text = "", note = "", weight = 0 } = {}) {
    entries.push({
      kind, title, href, note, weight: WEIGHT[kind] + weight,
      key: title.toLowerCase(), names: names.filter(Boolean).map((name) => name.toLowerCase()),
      text: text.toLowerCase(),
    });
  }

  // How well a word fits an entry; 0 if not at all.
  function fit(entry, word) {
    const bare = entry.key.slice(entry.key.lastIndexOf(".") + 1);
    // All columns of a table have its name: it says little of them.
    if (entry.kind === "column" && !bare.includes(word) && entry.key.includes(word)) return 12;
    if (entry.key === word || bare === word) return 120;
    if (entry.names.includes(word)) return 100;
    if (bare.startsWith(word) || entry.key.startsWith(word)) return 70;
    if (entry.names.some((name) => name.startsWith(word))) return 60;
    if (new RegExp(`[\\s._/-]${word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}`).test(entry.key)) return 50;
    if (entry.key.includes(word)) return 35;
    if (entry.names.some((name) => name.includes(word))) return 30;
    return entry.text.includes(word) ? 8 : 0;
  }

  function find(query) {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.length) return [];
    const found = [];
    for (const entry of entries) {
      const fits = words.map((word) => fit(entry, word));
      if (fits.every((value) => value > 0)) {
        found.push({ entry, score: fits.reduce((sum, value) => sum + value, 0) + entry.weight });
      }
    }
    found.sort((a, b) => b.score - a.score || a.entry.key.length - b.entry.key.length || (a.entry.key < b.entry.key ? -1 : 1));
    return found.map(({ entry }) => entry);
  }

  // The box: arrows move, Enter opens, Escape closes, "/" comes back to it.
  function box() {
    const list = make("ul", { id: "hits", role: "listbox", "aria-label": "What was found", hidden: true });
    const input = make("input", {
      type: "search", role: "combobox", "aria-expanded": "false", "aria-controls": "hits", "aria-autocomplete": "list",
      "aria-label": "Search tables, columns, terms, owners and sources", placeholder: "Search tables, columns, terms …",
      autocomplete: "off", spellcheck: "false",
    });
    const status = make("p", { class: "hidden", role: "status" });
    let hits = [];
    let at = -1;

    function move(to) {
      list.children[at]?.setAttribute("aria-selected", "false");
      at = hits.length ? (to + hits.length) % hits.length : -1;
      const chosen = list.children[at];
      if (!chosen) return input.removeAttribute("aria-activedescendant");
      chosen.setAttribute("aria-selected", "true");
      chosen.scrollIntoView({ block: "nearest" });
      input.setAttribute("aria-activedescendant", chosen.id);
    }

    function close() {
      list.hidden = true;
      input.setAttribute("aria-expanded", "false");
      input.removeAttribute("aria-activedescendant");
    }

    function show() {
      const every = find(input.value);
      hits = every.slice(0, MOST);
      list.replaceChildren(...hits.map((hit, n) => make("li", {
        role: "option", id: `hit-${n}`, "aria-selected": "false",
        mousedown: (event) => { event.preventDefault(); open(n); },
      }, make("span", { class: "sort-of" }, hit.kind), make("span", { class: "hit" }, make("b", {}, hit.title), make("small", {}, hit.note)))));
      if (input.value.trim() && !hits.length) {
        list.append(make("li", { class: "empty" }, "Nothing has all of these words."));
      } else if (every.length > MOST) {
        list.append(make("li", { class: "empty" }, `${every.length - MOST} more; another word narrows it down.`));
      }
      const open_ = Boolean(input.value.trim());
      list.hidden = !open_;
      input.setAttribute("aria-expanded", String(open_));
      status.textContent = open_ ? `${every.length} found` : "";
      at = -1;
      if (hits.length) move(0);
    }

    function open(n) {
      if (!hits[n]) return;
      location.hash = hits[n].href;
      input.value = "";
      close();
      input.blur();
    }

    input.addEventListener("input", show);
    input.addEventListener("focus", () => { if (input.value.trim()) show(); });
    input.addEventListener("blur", close);
    input.addEventListener("keydown", (event) => {
      if (event.key === "ArrowDown") move(at + 1);
      else if (event.key === "ArrowUp") move(at - 1);
      else if (event.key === "Enter") open(at);
      else if (event.key === "Escape") { input.value = ""; close(); return; }
      else return;
      event.preventDefault();
    });
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.target.matches("input, select, textarea")) return;
      event.preventDefault();
      input.focus();
    });
    return make("div", { class: "search", role: "search" }, input, make("kbd", { "aria-hidden": "true" }, "/"), list, status);
  }

  return { add, find, box, LAYER };
})();
