// A line chart with bands, drawn as SVG from the JSON inside its figure; see charts.py for the data and chart_description.py for what it means.

/** Controls, lines and labels; `LineChart` adds what a reader does with them. */
class ChartPicture {
  constructor(figure, group, number) {
    this.figure = figure;
    this.group = group;
    this.data = JSON.parse(figure.querySelector('script[type="application/json"]').textContent);
    this.id = `chart${number}`;
    this.zoom = null; // {x: [low, high], y: [low, high] or null}, of the x axis it was made on
    this.cursor = null; // a position on the x axis
    this.highlighted = null;
    keep(`${this.id}.zoom`, () => this.zoomKept(), (text) => this.zoomAgain(text));
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
    this.logButton = this.button("Log", "Logarithmic horizontal axis", () => {
      this.group.log = !this.group.log;
      this.group.changed();
    });
    this.logButton.dataset.action = "log";
    const zoom = make("div", { class: "choice", role: "group", "aria-label": "Zoom" });
    this.zoomIn = this.button("+", "Zoom in", () => this.scale(0.5));
    this.zoomOut = this.button("−", "Zoom out", () => this.scale(2));
    this.reset = this.button("Reset", "Show everything again", () => this.unzoom());
    this.reset.dataset.action = "reset";
    zoom.append(this.zoomIn, this.zoomOut, this.reset);
    const switches = make("div", { class: "choice", role: "group", "aria-label": "Look" });
    switches.append(...(this.data.x.some((axis) => axis.log) ? [this.logButton] : []), this.bandButton);
    this.runs = this.data.series.some((series) => series.single) ? new SingleRuns(this) : null;
    if (this.runs) switches.append(this.runs.button);
    this.bar.append(switches, zoom);

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
    this.figure.querySelector(".notes").before(this.bar, this.plot, this.legend, ...(this.runs ? [this.runs.box] : []), this.help);

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

  /** Colour, dashes and marker of an algorithm: its own, or those of the line of its group. */
  looks(series) {
    const line = this.group.by && this.lines.find((each) => each.members?.some((member) => member.series === series));
    return line ? line.series : series;
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
    this.logButton.setAttribute("aria-pressed", String(this.group.log));
    this.logButton.disabled = !x.log;
    this.warp = this.logarithmic ? { to: Math.log10, from: (value) => 10 ** value } : { to: (value) => value, from: (value) => value };
    if (this.zoom && this.zoom.log !== this.group.log) this.zoom = null;
    this.reset.disabled = this.zoomOut.disabled = !this.zoom;
    for (const button of this.legendButtons) button.setAttribute("aria-pressed", String(this.group.shows(button.dataset.series)));
    this.lines = this.data.series
      .filter((series) => this.group.shows(series.name) && series.x[x.key] && series.y[y.key])
      .map((series) => ({ series, ...series.y[y.key], x: this.positions(series, x) }));
    if (this.group.by) this.lines = groupedLines(this.lines, this.group.by);
    this.legendButtons.forEach((button, i) => button.firstChild.replaceWith(swatch(this.looks(this.data.series[i]))));
    this.runs?.refresh();
    this.paint(x, y);
    this.show();
  }

  get logarithmic() {
    return this.group.log && this.axis("x").log;
  }

  /** Where a series' marks lie; what is not above 0 has no place on a logarithmic axis. */
  positions(series, axis) {
    const values = series.x[axis.key] ?? [];
    return this.logarithmic ? values.map((value) => (value > 0 ? value : null)) : values;
  }

  /** The whole of the x axis, whatever is hidden, so that hiding does not move what stays. */
  wholeX(axis) {
    if (!this.logarithmic) return axis.view;
    const values = this.data.series.flatMap((series) => this.positions(series, axis)).filter((value) => value !== null);
    const [low, high] = values.length ? extent(values) : [1, 10];
    return [low, high > low ? high : low + 1];
  }

  domains(x, y) {
    const [left, right] = this.zoom?.x ?? this.wholeX(x);
    if (this.zoom?.y) return [[left, right], this.zoom.y];
    // What is hidden, or has no place on a logarithmic axis, leaves its room to the rest.
    const whole = !this.zoom && !this.logarithmic && this.group.bands && this.data.series.every((series) => this.group.shows(series.name));
    if (whole) return [[left, right], y.view];
    const [means, edges] = [[], []];
    for (const line of this.lines) {
      line.x.forEach((at, i) => {
        if (at === null || line.mean[i] === null) return;
        // One mark beyond either edge: the line to it crosses the picture. Lines may go back.
        const around = [line.x[i - 1] ?? at, at, line.x[i + 1] ?? at];
        if (Math.max(...around) < left || Math.min(...around) > right) return;
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
    const [start, end] = [this.warp.to(left), this.warp.to(right)];
    const toX = (value) => box.left + ((this.warp.to(value) - start) / (end - start)) * (box.right - box.left);
    const toY = (value) => box.bottom - ((value - bottom) / (top - bottom)) * (box.bottom - box.top);
    Object.assign(this, { box, toX, toY, xDomain: [left, right], yDomain: [bottom, top], height });

    const clip = draw(draw(svg, "defs"), "clipPath", { id: this.id });
    draw(clip, "rect", { x: box.left, y: box.top - 4, width: Math.max(0, box.right - box.left) + 4, height: box.bottom - box.top + 8 });
    for (const value of yTicks) {
      draw(svg, "path", { class: "grid", d: `M${box.left} ${toY(value)}H${box.right}` });
      draw(svg, "text", { class: "tick", x: box.left - 7, y: toY(value) + 4, "text-anchor": "end" }, yText(value));
    }
    const room = Math.max(2, Math.floor((box.right - box.left) / 90));
    const xTicks = this.logarithmic ? logTicks(left, right, room) : ticks(left, right, room, x.decimals === 0);
    const xText = this.logarithmic ? (value) => tickFormat([value])(value) : tickFormat(xTicks);
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
      // Fewer seeds than an interval needs are shown one by one.
      const dots = this.group.bands ? line.seeds.map((seed) => dotsPath({ x: line.x, mean: seed }, toX, toY)).join("") : "";
      if (dots) draw(group, "path", { class: "single", d: dots });
    }
    this.runs?.paint(inside, x, y);
    for (const line of this.lines) {
      for (const member of line.members ?? []) draw(line.group, "path", { class: "member", d: linePath(member, toX, toY) });
      draw(line.group, "path", { class: "line", d: linePath(line, toX, toY), "stroke-dasharray": line.series.dash.join(" ") });
      this.marks(line);
    }
    if (labels) this.endLabels();
    if (!this.lines.length) {
      const why = this.data.series.some((series) => this.group.shows(series.name)) ? "No values along these axes" : "All algorithms are hidden";
      draw(svg, "text", { class: "tick", x: (box.left + box.right) / 2, y: (box.top + box.bottom) / 2, "text-anchor": "middle" }, why);
    }
    this.overlay = draw(svg, "g", { class: "overlay", "clip-path": `url(#${this.id})` });
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
      // The leader of a line that ends far from the edge would look like data.
      if (this.toX(line.x[last]) < this.box.right - 40) continue;
      const y = this.toY(line.mean[last]);
      if (y < this.box.top - 4 || y > this.box.bottom + 4) continue;
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
}
