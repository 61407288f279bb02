"use strict";
// Curves of runs under way, one picture per task: a thin line per seed, a thick one for the mean where all seeds have a value.

const CURVES = { wide: 560, narrow: 350, height: 250, left: 52, right: 14, top: 10, bottom: 38, colours: 7 };
const PHONE = matchMedia("(max-width: 600px)");

/** An element of a picture. */
function drawn(name, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

/** Points [step, mean] where every curve has a value; nothing for a single one. */
function meanCurve(curves) {
  if (curves.length < 2) return [];
  const at = new Map();
  for (const curve of curves) {
    curve.env_steps.forEach((step, i) => {
      if (curve.values[i] !== null) at.set(step, [...(at.get(step) ?? []), curve.values[i]]);
    });
  }
  return [...at].filter(([, values]) => values.length === curves.length)
    .map(([step, values]) => [step, values.reduce((sum, value) => sum + value, 0) / values.length])
    .sort((one, other) => one[0] - other[0]);
}

/** The picture of one task's curves up to its budget. `colours` maps each algorithm to a number. */
function taskCurves({ task, curves, measure, budget, phone }, colours) {
  const { height, left, right, top, bottom } = CURVES;
  const width = phone ? CURVES.narrow : CURVES.wide;
  const points = (curve) => curve.env_steps.map((step, i) => [step, curve.values[i]]).filter(([, value]) => value !== null);
  const values = curves.flatMap((curve) => points(curve).map(([, value]) => value));
  const last = Math.max(1, budget, ...curves.flatMap((curve) => curve.env_steps));
  const [low, high] = comfortable(values, [], null);
  const x = (step) => left + (step / last) * (width - left - right);
  const y = (value) => height - bottom - ((value - low) / (high - low)) * (height - top - bottom);
  const svg = drawn("svg", { viewBox: `0 0 ${width} ${height}`, role: "img" });
  svg.append(drawn("title", {}, `${measure} by training env steps on ${task}`));
  svg.append(drawn("path", { class: "axis", d: `M${left} ${top}V${height - bottom}H${width - right}` }));
  const [across, up] = [ticks(0, last, phone ? 3 : 5), ticks(low, high, 4)];
  const [writeX, writeY] = [tickFormat(across), tickFormat(up)];
  for (const step of across) svg.append(drawn("text", { x: x(step), y: height - bottom + 15, "text-anchor": "middle" }, writeX(step)));
  for (const value of up) svg.append(drawn("text", { x: left - 6, y: y(value) + 4, "text-anchor": "end" }, writeY(value)));
  svg.append(drawn("text", { x: (left + width) / 2, y: height - 3, "text-anchor": "middle" }, "training env steps"));
  const line = (kind, colour, marks) => {
    const path = drawn("path", { class: kind, d: marks.map(([step, value], i) => `${i ? "L" : "M"}${x(step).toFixed(1)} ${y(value).toFixed(1)}`).join("") });
    path.style.stroke = `var(--c${colour % CURVES.colours})`;
    return path;
  };
  for (const curve of curves) {
    const path = line(curve.ended ? "seed ended" : "seed", colours.get(curve.algorithm), points(curve));
    path.dataset.points = curve.env_steps.length;
    path.append(drawn("title", {}, `${curve.algorithm}, seed ${curve.seed}`));
    svg.append(path);
  }
  const legend = document.createElement("ul");
  legend.className = "legend-line";
  for (const algorithm of new Set(curves.map((curve) => curve.algorithm))) {
    const own = curves.filter((curve) => curve.algorithm === algorithm);
    const mean = meanCurve(own);
    if (mean.length) svg.append(line("mean", colours.get(algorithm), mean));
    const latest = mean.length ? mean[mean.length - 1][1] : points(own[0]).at(-1)?.[1];
    const entry = document.createElement("li");
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = `var(--c${colours.get(algorithm) % CURVES.colours})`;
    entry.append(swatch, `${algorithm}: ${numeral(latest)} (${own.length} ${own.length === 1 ? "seed" : "seeds"})`);
    legend.append(entry);
  }
  const figure = document.createElement("figure");
  const caption = document.createElement("figcaption");
  caption.textContent = `${task}: ${measure}`;
  figure.append(caption, svg, legend);
  return figure;
}
