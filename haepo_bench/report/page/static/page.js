// What the page does beside its charts: draw them when they come near, switch measures, sort tables, print.

function startCharts() {
  const groups = new Map();
  const charts = [...document.querySelectorAll("figure.chart")].map((figure, number) => {
    const name = figure.dataset.group;
    if (!groups.has(name)) groups.set(name, groupKept(name));
    return new LineChart(figure, groups.get(name), number);
  });
  const come = (chart, near) => {
    chart.near = near;
    if (near && (chart.stale || !chart.lines)) chart.refresh();
  };
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) come(charts.find((chart) => chart.figure === entry.target), entry.isIntersecting);
    },
    { rootMargin: "600px" },
  );
  for (const chart of charts) watcher.observe(chart.figure);
  // What is folded stays out: the tables behind the folds fill dozens of pages.
  window.addEventListener("beforeprint", () => {
    for (const chart of charts) come(chart, true);
  });
  return groups;
}

/** The rows of a dot plot, which are hidden together with the lines of the charts of its group. */
class DotRows {
  constructor(box, group) {
    this.box = box;
    this.group = group;
    this.rows = [...box.querySelectorAll("li[data-series]")];
    this.data = { series: this.rows.map((row) => ({ name: row.dataset.series })) };
    group.charts.push(this);
  }

  refresh() {
    for (const row of this.rows) row.hidden = !this.group.shows(row.dataset.series);
    this.box.hidden = this.rows.every((row) => row.hidden) && this.box.querySelector("h4") !== null;
  }
}

/** Dot plots of several measures become one with a switch, and can be sorted. */
function startDots(groups) {
  for (const [number, box] of document.querySelectorAll(".dots").entries()) {
    if (groups.has(box.dataset.group)) new DotRows(box, groups.get(box.dataset.group));
    const panels = [...box.querySelectorAll(".dot-panel")];
    const bar = make("div", { class: "chart-bar" });
    const choice = make("div", { class: "choice", role: "group", "aria-label": "Measure" });
    const buttons = panels.map((panel) => {
      const button = make("button", { type: "button" }, panel.dataset.button);
      button.addEventListener("click", () => {
        choose(panel);
        remember();
      });
      return button;
    });
    const choose = (chosen) => {
      panels.forEach((panel, i) => {
        panel.hidden = panel !== chosen;
        buttons[i].setAttribute("aria-pressed", String(panel === chosen));
      });
    };
    const sort = make("button", { type: "button", "aria-pressed": "false" }, "Sort by value");
    const isSorted = () => sort.getAttribute("aria-pressed") === "true";
    const order = (sorted) => {
      sort.setAttribute("aria-pressed", String(sorted));
      for (const list of box.querySelectorAll("ul")) arrange(list, sorted);
    };
    sort.addEventListener("click", () => {
      order(!isSorted());
      remember();
    });
    choice.append(...buttons);
    if (panels.length > 1) bar.append(choice);
    bar.append(make("span", { class: "choice" }, sort));
    box.querySelector(".dot-panel").before(bar);
    choose(panels[0]);
    const shown = () => panels.findIndex((panel) => !panel.hidden);
    keep(`dots${number}`, () => [shown() || "", isSorted() ? "sorted" : ""].filter(Boolean).join(" "), (text) => {
      const [place, ...rest] = text.split(" ");
      choose(panels[Number.parseInt(place, 10) || 0] ?? panels[0]);
      order([place, ...rest].includes("sorted"));
    });
  }
}

/** Folds that are open, or shut though the page has them open. */
function startFolds() {
  const folds = [...document.querySelectorAll("main details")].map((fold) => [fold, fold.open]);
  for (const [fold] of folds) fold.addEventListener("toggle", remember);
  keep("folds", () => folds.map(([fold, first], i) => (fold.open === first ? "" : i)).filter((i) => i !== "").join(" "), (text) => {
    const changed = text.split(" ");
    folds.forEach(([fold, first], i) => (fold.open = first !== changed.includes(String(i))));
  });
}

function arrange(list, sorted) {
  const rows = [...list.children];
  const key = (row) => (sorted ? -Number(row.dataset.value) : Number(row.dataset.place));
  rows.sort((a, b) => key(a) - key(b));
  list.append(...rows);
}

/** The table of contents shows where the reader is. */
function startContents() {
  const box = document.querySelector(".contents details");
  box.addEventListener("click", (event) => {
    if (event.target.closest("a")) box.open = false;
  });
  const links = new Map([...document.querySelectorAll(".contents a")].map((link) => [link.getAttribute("href").slice(1), link]));
  const watcher = new IntersectionObserver(
    (entries) => {
      for (const entry of entries) {
        if (!entry.isIntersecting) continue;
        for (const link of links.values()) link.removeAttribute("aria-current");
        links.get(entry.target.id)?.setAttribute("aria-current", "true");
      }
    },
    { rootMargin: "-10% 0px -80% 0px" },
  );
  for (const id of links.keys()) {
    const target = document.getElementById(id);
    if (target) watcher.observe(target);
  }
}

const groups = startCharts();
startFolds();
startDots(groups);
startTables();
startFilters(groups);
startGrouping(groups);
startContents();
startState();
