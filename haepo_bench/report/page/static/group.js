// Charts that belong together.

/** What the charts of one group share: the series that are hidden, the axes chosen, whether bands are drawn. */
class ChartGroup {
  constructor() {
    this.hidden = new Set();
    this.admits = () => true; // the filter of the whole page
    this.axes = { x: null, y: null };
    this.by = null; // a hyper-parameter: its values are the lines
    this.seeds = false; // whether single seeds are drawn
    this.bands = true;
    this.log = false;
    this.charts = [];
  }

  shows(name) {
    return !this.hidden.has(name) && this.admits(name);
  }

  changed() {
    for (const chart of this.charts) chart.refresh();
    remember(); // behind them: other axes end a zoom
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
