// Single seeds behind the bands, and what is known of one: its numbers, settings, record and log.

/** Where the folder of results is from here; null where that is not known, so that nothing can be linked. */
function resultsFolder() {
  const { runs } = document.body.dataset;
  if (runs !== undefined) return runs || null;
  return /\/report\/report\.html$/.test(location.pathname) ? "../" : null;
}

class SingleRuns {
  constructor(chart) {
    this.chart = chart;
    this.chosen = null; // [algorithm, seed]
    this.curves = [];
    this.unfolded = false; // the settings of the chosen seed
    this.button = chart.button("Seeds", "Show or hide single seeds, at most 20 of an algorithm", () => {
      chart.group.seeds = !chart.group.seeds;
      chart.group.changed();
    });
    this.button.dataset.action = "seeds";
    this.box = make("div", { class: "runs", hidden: "" });
    this.list = make("div", { class: "run-list" });
    this.about = make("div", { class: "run", role: "status", hidden: "" });
    this.box.append(this.list, this.about);
    keep(`${chart.id}.settings`, () => (this.chosen && this.unfolded ? "1" : ""), (text) => {
      this.unfolded = text !== "";
    });
    keep(`${chart.id}.run`, () => (this.chosen ? JSON.stringify(this.chosen.map(String)) : ""), (text) => {
      const [name, seed] = listIn(text);
      this.choose(name === undefined ? null : [name, Number(seed)]);
    });
  }

  refresh() {
    const { group, data } = this.chart;
    this.button.setAttribute("aria-pressed", String(group.seeds));
    this.box.hidden = !group.seeds;
    this.list.replaceChildren();
    if (!group.seeds) return;
    for (const series of data.series.filter((each) => each.runs && group.shows(each.name))) {
      const row = make("div", { role: "group", "aria-label": `Seeds of ${series.name}` }, swatch(this.chart.looks(series), 20), make("span", {}, series.name));
      for (const [seed, status] of series.runs) {
        const pressed = this.chosen?.[0] === series.name && this.chosen[1] === seed;
        const button = make("button", { type: "button", class: status, "aria-pressed": String(pressed), "data-seed": seed, title: `seed ${seed}: ${status}` }, String(seed));
        button.addEventListener("click", () => {
          this.choose(pressed ? null : [series.name, seed]);
          this.list.querySelector(`[aria-label="${CSS.escape(`Seeds of ${series.name}`)}"] [data-seed="${seed}"]`)?.focus();
        });
        row.append(button);
      }
      this.list.append(row);
    }
  }

  /** The thinned curves along the axes that are shown. */
  paint(inside, x, y) {
    const { group, data, toX, toY } = this.chart;
    this.curves = [];
    if (!group.seeds || !["score", "eval_return"].includes(y.key)) return;
    for (const series of data.series.filter((each) => each.single && group.shows(each.name) && each.x[x.key])) {
      const at = this.chart.positions(series, x);
      const layer = draw(inside, "g", { class: `singles c${this.chart.looks(series).colour}` });
      series.single.seeds.forEach((seed, i) => {
        const mean = series.single.eval_return[i].map((value) => this.shown(value, y.key));
        const curve = { x: series.single.places.map((place) => at[place]), mean, series: { name: seed }, of: series.name };
        this.curves.push(curve);
        const on = this.chosen?.[0] === series.name && this.chosen[1] === seed;
        draw(layer, "path", { class: on ? "one on" : "one", d: linePath(curve, toX, toY), "data-seed": seed });
      });
    }
  }

  shown(value, key) {
    if (value === null || key !== "score") return value;
    const [random, solved] = this.chart.data.references;
    return (value - random) / (solved - random);
  }

  /** Chooses the seed whose curve passes nearest to a place; says whether one does. */
  pick(x, y) {
    let [best, distance] = [null, 8];
    for (const curve of this.curves) {
      for (let i = 1; i < curve.x.length; i += 1) {
        if ([curve.x[i], curve.x[i - 1], curve.mean[i], curve.mean[i - 1]].includes(null)) continue;
        const away = distanceTo([x, y], [curve.x[i - 1], curve.x[i]].map(this.chart.toX), [curve.mean[i - 1], curve.mean[i]].map(this.chart.toY));
        if (away < distance) [best, distance] = [curve, away];
      }
    }
    if (best) this.choose([best.of, best.series.name]);
    return best !== null;
  }

  choose(chosen) {
    if (!chosen && !this.chosen) return;
    this.chosen = chosen;
    const series = chosen && this.chart.data.series.find((each) => each.name === chosen[0]);
    const run = series?.runs?.find(([seed]) => seed === chosen[1]);
    if (!run) this.chosen = null;
    this.about.hidden = !run;
    this.about.replaceChildren(...(run ? this.describe(series, run) : []));
    if (this.chart.lines) this.chart.group.changed();
  }

  describe(series, [seed, status, record, log, [score, result]]) {
    const said = [status, score === null ? "" : `final score ${numeral(score, 3)}`, result === null ? "" : `final return ${numeral(result, null)}`];
    const head = make("p", {}, make("strong", {}, `${series.name}, seed ${seed}`), `: ${said.filter(Boolean).join(", ")}`);
    const files = make("p", {}, "Record: ", this.link(record));
    if (log) files.append(" · Log: ", this.link(log));
    const settings = make("dl");
    for (const [key, value] of Object.entries(series.parameters)) settings.append(make("dt", {}, key), make("dd", {}, value));
    const fold = make("details", {}, make("summary", {}, `Settings: ${Object.keys(series.parameters).length}`), settings);
    fold.open = this.unfolded;
    fold.addEventListener("toggle", () => {
      this.unfolded = fold.open;
      remember();
    });
    return [head, files, fold];
  }

  link(path) {
    const whole = [this.chart.data.folder, path].filter(Boolean).join("/");
    const from = resultsFolder();
    // A link leads below the results folder or nowhere.
    if (from === null || this.chart.data.folder === null || whole.split("/").includes("..") || whole.startsWith("/")) return make("code", {}, whole);
    return make("a", { href: from + whole.split("/").map(encodeURIComponent).join("/"), target: "_blank", rel: "noopener" }, whole);
  }
}

/** From a place to a stretch of a line, in pixels. */
function distanceTo([x, y], [x0, x1], [y0, y1]) {
  const [dx, dy] = [x1 - x0, y1 - y0];
  const share = Math.max(0, Math.min(1, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy || 1)));
  return Math.hypot(x0 + share * dx - x, y0 + share * dy - y);
}
