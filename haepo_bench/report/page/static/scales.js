"use strict";
// Numbers: ticks of an axis, and how values are written.

/** Round steps inside [low, high], about `count` of them; of what is counted (`whole`) none between whole numbers. */
function ticks(low, high, count, whole = false) {
  const rough = (high - low) / Math.max(1, count);
  if (!(rough > 0) || !Number.isFinite(rough)) return [low];
  const power = 10 ** Math.floor(Math.log10(rough));
  const sizes = [1, 2, 2.5, 5, 10].map((factor) => factor * power).filter((size) => !whole || Number.isInteger(size));
  const step = sizes.find((size) => size >= rough * 0.999) ?? 1;
  const found = [];
  // Counted: beyond 2^53 adding 1 changes nothing.
  const most = Math.min(50, Math.floor((high - low) / step) + 2);
  for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9 && found.length < most; i += 1) found.push(i * step);
  return found;
}

/** 1, 2 and 5 times the powers of ten inside [low, high]; only the powers where those are many. */
function logTicks(low, high, count) {
  for (const factors of [[1, 2, 5], [1]]) {
    const found = [];
    for (let power = Math.max(-324, Math.floor(Math.log10(low))); power <= 308 && 10 ** power <= high; power += 1) {
      found.push(...factors.map((factor) => factor * 10 ** power).filter((value) => value >= low * 0.999 && value <= high * 1.001));
    }
    if (found.length <= count + 2 || factors.length === 1) return found.length > 1 ? found : [low, high];
  }
  return [low, high];
}

/** Writes the ticks of one axis alike: thousands as k, millions as M. */
function tickFormat(values) {
  const largest = Math.max(...values.map(Math.abs));
  if (largest >= 1e12 || (largest > 0 && largest < 1e-4)) return (value) => value.toExponential(1);
  const [unit, suffix] = largest >= 1e9 ? [1e9, "G"] : largest >= 1e6 ? [1e6, "M"] : largest >= 1e4 ? [1e3, "k"] : [1, ""];
  const scaled = values.map((value) => Math.abs(value) / unit);
  let decimals = 0;
  while (decimals < 6 && scaled.some((value) => Math.abs(value - Number(value.toFixed(decimals))) > 1e-6)) decimals += 1;
  return (value) => (Math.abs(value) < 1e-12 ? "0" : (value / unit).toFixed(decimals).replace("-", "−") + suffix);
}

/** A number that is read off, with thousands apart; without given decimals about four digits. */
function numeral(value, decimals) {
  if (value === null || value === undefined) return "–";
  if (Math.abs(value) >= 1e9) return value.toPrecision(3);
  const digits = decimals ?? Math.max(0, Math.min(4, 3 - Math.floor(Math.log10(Math.abs(value) || 1))));
  const text = Math.abs(value).toFixed(digits);
  const [whole, fraction] = text.split(".");
  const grouped = whole.replace(/\B(?=(\d{3})+$)/g, ",") + (fraction ? `.${fraction}` : "");
  return value < 0 && Number(text) !== 0 ? `-${grouped}` : grouped;
}

/** What of [low, high] should be in view: means and limits whole; wide intervals may leave it by half its height. */
function comfortable(means, edges, limits) {
  const shown = [...means, ...(limits ?? [])];
  if (!shown.length) return [0, 1];
  const [low, high] = extent(shown);
  const reach = high - low || 0.5 * Math.abs(high) || 0.5;
  const [lowest, highest] = extent([...shown, ...edges]);
  const [bottom, top] = [Math.max(lowest, low - reach), Math.min(highest, high + reach)];
  const margin = 0.03 * (top - bottom) || 0.5; // as MARGIN in chart_description.py
  return [bottom - margin, top + margin];
}

function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}
