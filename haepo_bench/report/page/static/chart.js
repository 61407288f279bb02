// What a reader does with a chart: read values off, zoom, single out.

class LineChart extends ChartPicture {
  // ---- reading off

  /** For each line the mark that is nearest to the cursor. */
  values() {
    const found = [];
    for (const line of this.lines) {
      let best = null;
      line.x.forEach((at, i) => {
        if (!this.visible(line, i)) return;
        if (best === null || Math.abs(at - this.cursor) < Math.abs(line.x[best] - this.cursor)) best = i;
      });
      if (best !== null) found.push({ line, i: best, x: line.x[best], mean: line.mean[best] });
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
      const interval = line.low[i] === null || line.high[i] === null ? "no interval" : `[${numeral(line.low[i], y.decimals)}, ${numeral(line.high[i], y.decimals)}]`;
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
    const share = Math.max(0, Math.min(1, (pixels - this.box.left) / (this.box.right - this.box.left)));
    const [start, end] = this.xDomain.map(this.warp.to);
    return this.warp.from(start + share * (end - start));
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
        // Lines may be steep, and go back.
        const [dx, dy] = [x1 - x0, y1 - y0];
        const share = Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
        const away = Math.hypot(x0 + share * dx - x, y0 + share * dy - y);
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
      if (this.runs?.pick(x, y)) return;
      const name = this.nearest(x, y, 14);
      if (name !== null && !this.group.by) this.group.isolate(name);
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
    const everything = !y && right - left > (whole[1] - whole[0]) * 0.999;
    this.zoom = everything ? null : { x: [left, right], y, key: this.axis("x").key, log: this.group.log, yKey: this.axis("y").key };
    this.refresh();
    remember();
  }

  unzoom() {
    this.zoom = null;
    this.refresh();
    remember();
  }

  /** `LEFT RIGHT` or `LEFT RIGHT BOTTOM TOP`, of the axes that are shown; empty without a zoom. */
  zoomKept() {
    const { zoom } = this;
    const [x, y] = [this.axis("x"), this.axis("y")];
    if (!zoom || zoom.key !== x.key || zoom.log !== this.group.log) return "";
    return [...zoom.x, ...(zoom.y && zoom.yKey === y.key ? zoom.y : [])].map((value) => Number(value.toPrecision(7))).join(" ");
  }

  zoomAgain(text) {
    const numbers = text.split(" ").map(Number);
    const whole = text !== "" && [2, 4].includes(numbers.length) && numbers.every(Number.isFinite);
    const [left, right, bottom, top] = numbers;
    this.zoom = null;
    if (whole && left < right && (numbers.length === 2 || bottom < top)) this.zoomTo([left, right], numbers.length === 4 ? [bottom, top] : null);
    else this.refresh();
  }

  /** Zooms about the cursor, or the middle. */
  scale(factor) {
    const [left, right] = this.xDomain.map(this.warp.to);
    const about = this.cursor === null ? (left + right) / 2 : Math.max(left, Math.min(right, this.warp.to(this.cursor)));
    const whole = this.wholeX(this.axis("x")).map(this.warp.to);
    const width = Math.min((right - left) * factor, whole[1] - whole[0]);
    const share = (about - left) / (right - left);
    const start = Math.max(whole[0], Math.min(whole[1] - width, about - share * width));
    this.zoomTo([start, start + width].map(this.warp.from), null);
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
