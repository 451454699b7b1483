"use strict";
// Light and dark, from the system or from the button, and the style of all charts.
Pages.theme = (() => {
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  let stored = null;
  try {
    stored = localStorage.getItem("lakehouse-theme");
  } catch {
    // A browser may refuse storage to files; the button then holds for this page.
  }
  const names = ["text", "muted", "line", "surface", "accent", "positive", "negative"];
  let current = null;

  function apply() {
    const dark = stored ? stored === "dark" : system.matches;
    root.dataset.theme = dark ? "dark" : "light";
    const style = getComputedStyle(root);
    const value = (name) => style.getPropertyValue(`--${name}`).trim();
    current = Object.fromEntries(names.map((name) => [name, value(name)]));
    current.series = Array.from({ length: 10 }, (_, n) => value(`c${n + 1}`));
    current.dark = dark;
    current.font = style.getPropertyValue("--font").trim();
  }

  function toggle() {
    stored = current.dark ? "light" : "dark";
    try {
      localStorage.setItem("lakehouse-theme", stored);
    } catch {
      // See above.
    }
    apply();
    Pages.redraw();
  }

  system.addEventListener("change", () => {
    apply();
    Pages.redraw();
  });
  apply();
  return { get: () => current, toggle };
})();
