// Line charts with bands. A chart reads the JSON inside its figure and draws it as SVG; see charts.py for the data.

/** What the charts of one group share: the series that are hidden, the axes chosen, whether bands are drawn. */
class ChartGroup {
  constructor() {
    this.hidden = new Set();
    this.axes = { x: null, y: null };
    this.bands = true;
    this.charts = [];
  }

  changed() {
    for (const chart of this.charts) chart.refresh();
  }

  toggle(name) {
    if (!this.hidden.delete(name)) this.hidden.add(name);
    this.changed();
  }

  /** Shows one series alone; all of them where it is alone already. */
  isolate(name) {
    const names = new Set(this.charts.flatMap((chart) => chart.data.series.map((each) => each.name)));
    const alone = [...names].every((each) => each === name || this.hidden.has(each)) && !this.hidden.has(name);
    this.hidden = new Set(alone ? [] : [...names].filter((each) => each !== name));
    this.changed();
  }

  choose(axis, key) {
    this.axes[axis] = key;
    this.changed();
  }
}

class LineChart {
  constructor(figure, group, number) {
    this.figure = figure;
    this.group = group;
    this.data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
    this.id = `chart${number}`;
    this.zoom = null; // {x: [low, high], y: [low, high] or null}, of the x axis it was made on
    this.cursor = null; // a position on the x axis
    this.highlighted = null;
    this.build();
    group.charts.push(this);
  }

  axis(which) {
    const axes = this.data[which];
    return axes.find((axis) => axis.key === this.group.axes[which]) ?? axes[0];
  }

  // ---- controls

  build() {
    this.bar = make("div", { class: "chart-bar" });
    this.choices = [];
    for (const [which, title] of [["x", "Against"], ["y", "Show"]]) {
      if (this.data[which].length < 2) continue;
      const box = make("div", { class: "choice", role: "group", "aria-label": title });
      for (const axis of this.data[which]) {
        const button = make("button", { type: "button", "data-axis": axis.key }, axis.button);
        button.addEventListener("click", () => this.group.choose(which, axis.key));
        this.choices.push([button, which, axis.key]);
        box.append(button);
      }
      this.bar.append(box);
    }
    this.bandButton = this.button("Bands", "Show or hide the intervals", () => {
      this.group.bands = !this.group.bands;
      this.group.changed();
    });
    this.bandButton.dataset.action = "bands";
    const zoom = make("div", { class: "choice", role: "group", "aria-label": "Zoom" });
    this.zoomIn = this.button("+", "Zoom in", () => this.scale(0.5));
    this.zoomOut = this.button("−", "Zoom out", () => this.scale(2));
    this.reset = this.button("Reset", "Show everything again", () => this.unzoom());
    this.reset.dataset.action = "reset";
    zoom.append(this.zoomIn, this.zoomOut, this.reset);
    this.bar.append(this.bandButton, zoom);

    this.plot = make("div", { class: "plot", tabindex: "0", role: "group", "aria-label": `${this.data.title}. Arrow keys read values off, plus and minus zoom, 0 shows everything.` });
    this.svg = draw(this.plot, "svg", { role: "img", "aria-label": this.data.title });
    this.readout = make("div", { class: "readout", role: "status", hidden: "" });
    this.plot.append(this.readout);

    this.legend = make("div", { class: "legend", role: "group", "aria-label": "Algorithms" });
    this.legendButtons = this.data.series.map((series) => this.legendButton(series));
    const all = this.button("All", "Show all algorithms", () => this.showAll(true));
    const none = this.button("None", "Hide all algorithms", () => this.showAll(false));
    this.legend.append(...this.legendButtons, make("span", { class: "choice" }, all, none));
    this.help = make("p", { class: "chart-help" });
    this.help.append(
      make("span", { class: "by-mouse" }, "Drag to zoom, click a line to see it alone, click a name to hide it, double-click it to see it alone."),
      make("span", { class: "by-touch" }, "Touch the picture to read values off, tap a name to hide it."),
    );
    this.figure.querySelector(".notes").before(this.bar, this.plot, this.legend, this.help);

    this.plot.addEventListener("pointermove", (event) => this.moved(event));
    this.plot.addEventListener("pointerdown", (event) => this.pressed(event));
    this.plot.addEventListener("pointerup", (event) => this.released(event));
    this.plot.addEventListener("pointercancel", () => this.abandon());
    this.plot.addEventListener("pointerleave", () => this.left());
    this.plot.addEventListener("dblclick", () => this.unzoom());
    this.plot.addEventListener("keydown", (event) => this.key(event));
    this.plot.addEventListener("blur", () => this.left());
    new ResizeObserver(() => {
      if (this.plot.clientWidth !== this.width) this.refresh();
    }).observe(this.plot);
  }

  button(text, title, action) {
    const button = make("button", { type: "button", title, "aria-label": title }, text);
    button.addEventListener("click", action);
    return button;
  }

  legendButton(series) {
    const name = make("span", { class: "legend-name" }, series.name + series.mark);
    const button = make("button", { type: "button", title: `${series.name}: ${series.detail}`, "data-series": series.name }, swatch(series), name);
    button.addEventListener("click", (event) => (event.shiftKey ? this.group.isolate(series.name) : this.group.toggle(series.name)));
    button.addEventListener("dblclick", () => this.group.isolate(series.name));
    for (const event of ["pointerenter", "focus"]) button.addEventListener(event, () => this.highlight(series.name));
    for (const event of ["pointerleave", "blur"]) button.addEventListener(event, () => this.highlight(null));
    return button;
  }

  showAll(shown) {
    for (const { name } of this.data.series) {
      if (shown) this.group.hidden.delete(name);
      else this.group.hidden.add(name);
    }
    this.group.changed();
  }

  // ---- drawing

  /** Draws anew where the reader can see it, and marks the rest for later. */
  refresh() {
    if (!this.near) {
      this.stale = true;
      return;
    }
    this.stale = false;
    const [x, y] = [this.axis("x"), this.axis("y")];
    if (this.zoom && this.zoom.key !== x.key) this.zoom = null;
    if (this.zoom && this.zoom.y && this.zoom.yKey !== y.key) this.zoom.y = null;
    for (const [button, which, key] of this.choices) button.setAttribute("aria-pressed", String(this.axis(which).key === key));
    this.bandButton.setAttribute("aria-pressed", String(this.group.bands));
    this.reset.disabled = this.zoomOut.disabled = !this.zoom;
    for (const button of this.legendButtons) button.setAttribute("aria-pressed", String(!this.group.hidden.has(button.dataset.series)));
    this.lines = this.data.series
      .filter((series) => !this.group.hidden.has(series.name) && series.x[x.key] && series.y[y.key])
      .map((series) => ({ series, x: series.x[x.key], ...series.y[y.key] }));
    this.paint(x, y);
    this.show();
  }

  /** The whole of the x axis, whatever is hidden, so that hiding does not move what stays. */
  wholeX(axis) {
    const values = this.data.series.flatMap((series) => series.x[axis.key] ?? []).filter((value) => value !== null);
    const [low, high] = values.length ? extent(values) : [0, 1];
    const start = Math.min(low, axis.key === "threshold" ? low : 0);
    return [start, high > start ? high : start + 1];
  }

  domains(x, y) {
    const [left, right] = this.zoom?.x ?? this.wholeX(x);
    if (this.zoom?.y) return [[left, right], this.zoom.y];
    const [means, edges] = [[], []];
    for (const line of this.lines) {
      line.x.forEach((at, i) => {
        // One mark beyond either edge: the line to it crosses the picture.
        const near = at !== null && (line.x[i + 1] ?? at) >= left && (line.x[i - 1] ?? at) <= right;
        if (!near || line.mean[i] === null) return;
        means.push(line.mean[i]);
        if (this.group.bands && line.low[i] !== null && line.high[i] !== null) edges.push(line.low[i], line.high[i]);
      });
    }
    return [[left, right], comfortable(means, edges, this.zoom ? null : y.limits)];
  }

  paint(x, y) {
    const svg = this.svg;
    svg.replaceChildren();
    this.width = this.plot.clientWidth;
    const small = this.width < 560;
    const height = small ? 280 : Math.max(320, Math.min(440, Math.round(this.width * 0.46)));
    const [[left, right], [bottom, top]] = this.domains(x, y);
    const yTicks = ticks(bottom, top, small ? 5 : 7);
    const yText = tickFormat(yTicks);
    const longest = Math.max(...yTicks.map((value) => yText(value).length));
    const labels = small || !this.data.ends || !this.lines.length ? 0 : Math.min(170, Math.max(...this.lines.map((line) => line.series.name.length)) * 6.4 + 18);
    const box = { left: longest * 7 + 12, right: this.width - Math.max(14, labels), top: 26, bottom: height - 42 };
    svg.setAttribute("width", this.width);
    svg.setAttribute("height", height);
    svg.setAttribute("viewBox", `0 0 ${this.width} ${height}`);
    const toX = (value) => box.left + ((value - left) / (right - left)) * (box.right - box.left);
    const toY = (value) => box.bottom - ((value - bottom) / (top - bottom)) * (box.bottom - box.top);
    Object.assign(this, { box, toX, toY, xDomain: [left, right], yDomain: [bottom, top], height });

    const clip = draw(draw(svg, "defs"), "clipPath", { id: this.id });
    draw(clip, "rect", { x: box.left, y: box.top - 4, width: Math.max(0, box.right - box.left) + 4, height: box.bottom - box.top + 8 });
    for (const value of yTicks) {
      draw(svg, "path", { class: "grid", d: `M${box.left} ${toY(value)}H${box.right}` });
      draw(svg, "text", { class: "tick", x: box.left - 7, y: toY(value) + 4, "text-anchor": "end" }, yText(value));
    }
    const xTicks = ticks(left, right, Math.max(2, Math.floor((box.right - box.left) / 90)));
    const xText = tickFormat(xTicks);
    for (const value of xTicks) {
      draw(svg, "path", { class: "grid", d: `M${toX(value)} ${box.top}V${box.bottom}` });
      draw(svg, "text", { class: "tick", x: toX(value), y: box.bottom + 17, "text-anchor": "middle" }, xText(value));
    }
    draw(svg, "path", { class: "axis", d: `M${box.left} ${box.top}V${box.bottom}H${box.right}` });
    draw(svg, "text", { class: "label x-label", x: (box.left + box.right) / 2, y: height - 6, "text-anchor": "middle" }, x.label);
    draw(svg, "text", { class: "label y-label", x: 2, y: 13 }, y.label);
    const inside = draw(svg, "g", { "clip-path": `url(#${this.id})` });
    for (const level of y.guides) draw(inside, "path", { class: "guide", d: `M${box.left} ${clamp(toY(level))}H${box.right}` });
    const opacity = this.lines.length > 8 ? 0.07 : this.lines.length > 4 ? 0.11 : 0.17;
    for (const line of this.lines) {
      const group = draw(inside, "g", { class: `series c${line.series.colour}`, "data-series": line.series.name });
      line.group = group;
      if (this.group.bands) draw(group, "path", { class: "band", d: bandPath(line, toX, toY), "fill-opacity": opacity });
    }
    for (const line of this.lines) {
      draw(line.group, "path", { class: "line", d: linePath(line, toX, toY), "stroke-dasharray": line.series.dash.join(" ") });
      this.marks(line);
    }
    if (labels) this.endLabels();
    if (!this.lines.length) {
      const why = this.data.series.some((series) => !this.group.hidden.has(series.name)) ? "No values along these axes" : "All algorithms are hidden";
      draw(svg, "text", { class: "tick", x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2, "text-anchor": "middle" }, why);
    }
    this.overlay = draw(svg, "g", { class: "overlay" });
  }

  /** Some marks of a line carry its shape, at other places than its neighbours'. */
  marks(line) {
    const inView = line.x.map((_, i) => i).filter((i) => this.visible(line, i));
    const every = Math.max(1, Math.ceil(inView.length / 6));
    const offset = inView.length > every ? this.lines.indexOf(line) % every : 0;
    for (let k = offset; k < inView.length; k += every) {
      const i = inView[k];
      draw(line.group, "path", { class: "mark", d: SHAPES[line.series.marker], transform: `translate(${this.toX(line.x[i])} ${this.toY(line.mean[i])})` });
    }
  }

  visible(line, i) {
    return line.x[i] !== null && line.mean[i] !== null && line.x[i] >= this.xDomain[0] && line.x[i] <= this.xDomain[1];
  }

  /** Names at the right ends of the lines, moved apart. */
  endLabels() {
    const ends = [];
    for (const line of this.lines) {
      const last = line.x.map((_, i) => i).filter((i) => this.visible(line, i)).pop();
      if (last === undefined) continue;
      const y = Math.max(this.box.top, Math.min(this.box.bottom, this.toY(line.mean[last])));
      ends.push({ line, y, at: [this.toX(line.x[last]), y] });
    }
    const gap = Math.min(13, (this.box.bottom - this.box.top + 20) / Math.max(1, ends.length));
    ends.sort((a, b) => a.y - b.y);
    ends.forEach((end, i) => {
      end.y = Math.max(end.y, i ? ends[i - 1].y + gap : this.box.top - 8);
    });
    for (let i = ends.length - 1; i >= 0; i -= 1) {
      ends[i].y = Math.min(ends[i].y, i + 1 < ends.length ? ends[i + 1].y - gap : this.box.bottom + 8);
    }
    const limit = Math.floor((this.width - this.box.right - 16) / 6.2);
    for (const { line, y, at } of ends) {
      const group = draw(this.svg, "g", { class: `series c${line.series.colour}`, "data-series": line.series.name });
      line.label = group;
      draw(group, "path", { class: "leader", d: `M${at[0] + 3} ${at[1]}L${this.box.right + 9} ${y}` });
      const name = line.series.name.length > limit ? `${line.series.name.slice(0, limit - 1)}…` : line.series.name;
      draw(group, "text", { class: "end", x: this.box.right + 12, y: y + 4 }, name);
    }
  }

  highlight(name) {
    if (this.highlighted === name || !this.lines) return;
    this.highlighted = name;
    const known = name !== null && this.lines.some((line) => line.series.name === name);
    this.svg.classList.toggle("focused", known);
    for (const group of this.svg.querySelectorAll(".series")) group.classList.toggle("on", group.dataset.series === name);
  }

  // ---- reading off

  /** For each line the mark that is nearest to the cursor. */
  values() {
    const found = [];
    for (const line of this.lines) {
      let best = null;
      line.x.forEach((at, i) => {
        if (at === null || line.mean[i] === null) return;
        if (best === null || Math.abs(at - this.cursor) < Math.abs(line.x[best] - this.cursor)) best = i;
      });
      if (best !== null && this.visible(line, best)) found.push({ line, i: best, x: line.x[best], mean: line.mean[best] });
    }
    return found.sort((a, b) => b.mean - a.mean);
  }

  show() {
    this.overlay?.replaceChildren();
    const values = this.cursor === null ? [] : this.values();
    this.readout.hidden = !values.length;
    if (!values.length) return;
    const [x, y] = [this.axis("x"), this.axis("y")];
    const shared = values.every((value) => value.x === values[0].x);
    const at = shared ? values[0].x : this.cursor;
    draw(this.overlay, "path", { class: "cursor", d: `M${this.toX(at)} ${this.box.top}V${this.box.bottom}` });
    for (const { line, i } of values) {
      draw(this.overlay, "circle", { class: `mark c${line.series.colour}`, cx: this.toX(line.x[i]), cy: this.toY(line.mean[i]), r: 4 });
    }
    const table = make("table");
    table.append(make("caption", {}, `${shared ? "" : "near "}${numeral(at, shared ? x.decimals : null)} ${x.label}`));
    const body = table.appendChild(make("tbody"));
    for (const { line, i } of values) {
      const interval = line.low[i] === null || line.high[i] === null ? "one seed" : `[${numeral(line.low[i], y.decimals)}, ${numeral(line.high[i], y.decimals)}]`;
      const row = make("tr", { "data-series": line.series.name }, make("td", {}, swatch(line.series, 20)), make("th", { scope: "row" }, line.series.name));
      row.append(make("td", { class: "value" }, numeral(line.mean[i], y.decimals)), make("td", { class: "interval" }, interval));
      if (!shared) row.append(make("td", { class: "interval" }, `at ${numeral(line.x[i], x.decimals)}`));
      row.classList.toggle("on", line.series.name === this.highlighted);
      body.append(row);
    }
    this.readout.replaceChildren(table);
    const beside = this.width >= 560 && this.readout.offsetWidth + 60 < this.width;
    this.readout.classList.toggle("below", !beside);
    if (!beside) return;
    const right = this.toX(at) + 16;
    const fits = right + this.readout.offsetWidth < this.width;
    this.readout.style.left = `${Math.max(0, fits ? right : this.toX(at) - 16 - this.readout.offsetWidth)}px`;
    this.readout.style.top = `${Math.max(0, this.box.top)}px`;
  }

  // ---- pointer and keys

  place(event) {
    const frame = this.svg.getBoundingClientRect();
    return [event.clientX - frame.left, event.clientY - frame.top];
  }

  fromX(pixels) {
    const share = (pixels - this.box.left) / (this.box.right - this.box.left);
    return this.xDomain[0] + Math.max(0, Math.min(1, share)) * (this.xDomain[1] - this.xDomain[0]);
  }

  fromY(pixels) {
    const share = (this.box.bottom - pixels) / (this.box.bottom - this.box.top);
    return this.yDomain[0] + Math.max(0, Math.min(1, share)) * (this.yDomain[1] - this.yDomain[0]);
  }

  moved(event) {
    const [x, y] = this.place(event);
    if (this.drag) this.stretch(x, y);
    else if (y <= this.height) {
      this.cursor = this.fromX(x);
      this.highlight(this.nearest(x, y, 24));
      this.show();
    }
  }

  /** The line that passes nearest to a place, within some pixels of it. */
  nearest(x, y, within) {
    let [best, distance] = [null, within];
    for (const line of this.lines) {
      for (let i = 1; i < line.x.length; i += 1) {
        if (line.x[i] === null || line.x[i - 1] === null || line.mean[i] === null || line.mean[i - 1] === null) continue;
        const [x0, x1, y0, y1] = [this.toX(line.x[i - 1]), this.toX(line.x[i]), this.toY(line.mean[i - 1]), this.toY(line.mean[i])];
        if (x < x0 - 6 || x > x1 + 6) continue;
        const share = x1 > x0 ? Math.max(0, Math.min(1, (x - x0) / (x1 - x0))) : 0;
        const away = Math.abs(y0 + share * (y1 - y0) - y);
        if (away < distance) [best, distance] = [line.series.name, away];
      }
    }
    return best;
  }

  pressed(event) {
    if (event.button !== 0) return;
    const [x, y] = this.place(event);
    // A finger reads values off and scrolls; it zooms with the buttons.
    if (event.pointerType === "touch") {
      this.moved(event);
      return;
    }
    if (y > this.height) return;
    this.drag = { from: [x, y], to: [x, y], rect: null };
    this.plot.setPointerCapture(event.pointerId);
  }

  stretch(x, y) {
    const { drag, box } = this;
    drag.to = [x, y];
    const [x0, x1] = [Math.min(drag.from[0], x), Math.max(drag.from[0], x)].map((value) => Math.max(box.left, Math.min(box.right, value)));
    const flat = Math.abs(y - drag.from[1]) < 24;
    const [y0, y1] = flat ? [box.top, box.bottom] : [Math.min(drag.from[1], y), Math.max(drag.from[1], y)].map((value) => Math.max(box.top, Math.min(box.bottom, value)));
    drag.rect ??= draw(this.overlay, "rect", { class: "selection" });
    for (const [name, value] of Object.entries({ x: x0, y: y0, width: x1 - x0, height: y1 - y0 })) drag.rect.setAttribute(name, value);
    drag.flat = flat;
  }

  released(event) {
    const drag = this.drag;
    if (!drag) return;
    this.abandon();
    const [x, y] = this.place(event);
    if (Math.hypot(x - drag.from[0], y - drag.from[1]) < 6) {
      const name = this.nearest(x, y, 14);
      if (name !== null) this.group.isolate(name);
      return;
    }
    if (Math.abs(x - drag.from[0]) < 8) return;
    const [left, right] = [this.fromX(Math.min(drag.from[0], x)), this.fromX(Math.max(drag.from[0], x))];
    const vertical = drag.flat ? null : [this.fromY(Math.max(drag.from[1], y)), this.fromY(Math.min(drag.from[1], y))];
    this.zoomTo([left, right], vertical);
  }

  abandon() {
    this.drag?.rect?.remove();
    this.drag = null;
  }

  left() {
    if (this.drag) return;
    this.cursor = null;
    this.highlight(null);
    this.show();
  }

  zoomTo(x, y) {
    const whole = this.wholeX(this.axis("x"));
    const [left, right] = [Math.max(whole[0], x[0]), Math.min(whole[1], x[1])];
    if (!(right - left > (whole[1] - whole[0]) * 1e-6)) return;
    const everything = !y && left === whole[0] && right === whole[1];
    this.zoom = everything ? null : { x: [left, right], y, key: this.axis("x").key, yKey: this.axis("y").key };
    this.refresh();
  }

  unzoom() {
    this.zoom = null;
    this.refresh();
  }

  /** Zooms about the cursor, or the middle. */
  scale(factor) {
    const [left, right] = this.xDomain;
    const about = this.cursor ?? (left + right) / 2;
    const whole = this.wholeX(this.axis("x"));
    const width = Math.min((right - left) * factor, whole[1] - whole[0]);
    const share = (about - left) / (right - left);
    const start = Math.max(whole[0], Math.min(whole[1] - width, about - share * width));
    this.zoomTo([start, start + width], null);
  }

  key(event) {
    if (event.target !== this.plot || event.ctrlKey || event.metaKey || event.altKey) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) this.walk(step);
    else if (event.key === "+" || event.key === "=") this.scale(0.5);
    else if (event.key === "-") this.scale(2);
    else if (event.key === "0") this.unzoom();
    else if (event.key === "Escape") this.left();
    else return;
    event.preventDefault();
  }

  /** Moves the cursor to the next mark of any line that is shown. */
  walk(step) {
    const [low, high] = this.xDomain;
    const places = this.lines.flatMap((line) => line.x).filter((at) => at !== null && at >= low && at <= high);
    const marks = [...new Set(places)].sort((a, b) => a - b);
    if (!marks.length) return;
    const from = this.cursor ?? (step > 0 ? -Infinity : Infinity);
    const next = step > 0 ? marks.find((at) => at > from) : marks.findLast((at) => at < from);
    this.cursor = next ?? (step > 0 ? marks.at(-1) : marks[0]);
    this.show();
  }
}
