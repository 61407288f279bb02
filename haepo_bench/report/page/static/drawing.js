// Elements, shapes and paths.

const SHAPES = {
  circle: "M-3.4 0a3.4 3.4 0 1 0 6.8 0a3.4 3.4 0 1 0-6.8 0z",
  square: "M-3-3h6v6h-6z",
  triangle: "M0-4L3.9 3H-3.9z",
  diamond: "M0-4.3L4.3 0L0 4.3L-4.3 0z",
  cross: "M-1.2-4h2.4v2.8H4v2.4H1.2V4h-2.4V1.2H-4v-2.4h2.8z",
};

function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

function draw(parent, tag, attributes = {}, text = "") {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text) element.textContent = text;
  parent.append(element);
  return element;
}

/** A sample of a series' line, as legend and read-out show it. */
function swatch(series, width = 30) {
  const svg = draw(document.createDocumentFragment(), "svg", { width, height: 12, "aria-hidden": "true" });
  const paint = { class: `line c${series.colour}`, "stroke-dasharray": series.dash.join(" ") };
  draw(svg, "path", { d: `M0 6h${width}`, ...paint });
  draw(svg, "path", { d: SHAPES[series.marker], transform: `translate(${width / 2} 6)`, class: `mark c${series.colour}` });
  return svg;
}

function linePath(line, toX, toY) {
  let [path, pen] = ["", "M"];
  line.x.forEach((at, i) => {
    if (at === null || line.mean[i] === null) pen = "M";
    else {
      path += `${pen}${toX(at).toFixed(1)} ${clamp(toY(line.mean[i]))}`;
      pen = "L";
    }
  });
  return path;
}

/** A dot at every position. */
function dotsPath(line, toX, toY) {
  return line.x.map((at, i) => (at === null || line.mean[i] === null ? "" : `M${toX(at).toFixed(1)} ${clamp(toY(line.mean[i]))}h0`)).join("");
}

/** One outline a stretch in which the interval is known. */
function bandPath(line, toX, toY) {
  const stretches = [[]];
  line.x.forEach((at, i) => {
    if (at === null || line.low[i] === null || line.high[i] === null) stretches.push([]);
    else stretches.at(-1).push(i);
  });
  return stretches
    .filter((stretch) => stretch.length)
    .map((stretch) => {
      const upper = stretch.map((i) => `${toX(line.x[i]).toFixed(1)} ${clamp(toY(line.high[i]))}`);
      const lower = stretch.map((i) => `${toX(line.x[i]).toFixed(1)} ${clamp(toY(line.low[i]))}`).reverse();
      return `M${[...upper, ...lower].join("L")}Z`;
    })
    .join("");
}

/** Pixels far outside the picture overflow in some renderers. */
function clamp(pixels) {
  return Math.max(-1e4, Math.min(1e4, pixels)).toFixed(1);
}
