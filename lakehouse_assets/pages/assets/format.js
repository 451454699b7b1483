"use strict";
// Numbers and labels as people read them.
Pages.format = (() => {
  const made = new Map();
  function intl(options) {
    const key = JSON.stringify(options);
    if (!made.has(key)) made.set(key, new Intl.NumberFormat("en", options));
    return made.get(key);
  }
  // A text is rounded as the decimal that it is, as SQL rounds, and not as the nearest double.
  const decimal = (value) => (Number.isFinite(value) && !/e/.test(String(value)) ? String(value) : value);

  const isMoney = (unit) => /currency|dollar|euro/i.test(unit ?? "");

  function number(value, unit, compact = false) {
    if (value === null || value === undefined || Number.isNaN(value)) return "–";
    if (unit === "share") {
      const small = value !== 0 && Math.abs(value) < 0.001;
      const options = small ? { maximumSignificantDigits: 2 } : { maximumFractionDigits: 1, minimumFractionDigits: compact ? 0 : 1 };
      return `${intl(options).format(decimal(value * 100))} %`;
    }
    const size = Math.abs(value);
    let text;
    if (compact && size >= 10_000) {
      text = intl({ notation: "compact", maximumSignificantDigits: 3 }).format(value);
    } else if (isMoney(unit)) {
      const digits = compact && (size >= 1000 || Number.isInteger(value)) ? 0 : 2;
      text = intl({ maximumFractionDigits: digits, minimumFractionDigits: digits }).format(decimal(value));
    } else {
      text = intl({ maximumFractionDigits: size >= 1000 ? (compact ? 0 : 2) : size < 1 ? 4 : 2 })
        .format(decimal(value));
    }
    if (unit === "percent") return `${text} %`;
    if (/dollar/.test(unit ?? "")) return text.startsWith("-") ? `-$${text.slice(1)}` : `$${text}`;
    return text;
  }

  // The unit to show beside a title; counts, shares and dollars need none.
  function unit(name) {
    return !name || ["count", "share", "percent", "US dollars", "score", "code"].includes(name) ? "" : name;
  }

  function label(value) {
    if (value === null || value === undefined) return "(none)";
    if (value === "") return "(empty)";
    if (value === true) return "Yes";
    if (value === false) return "No";
    if (typeof value === "number") return intl({ useGrouping: false, maximumFractionDigits: 4 }).format(value);
    return String(value);
  }

  return { number, unit, label };
})();
