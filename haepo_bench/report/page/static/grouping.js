// Lines and tables by the values of a hyper-parameter in place of algorithms.

/** One line for each value: the mean of its algorithms' means, each algorithm weighing the same; no interval. */
function groupedLines(lines, key) {
  const groups = new Map();
  const rest = [];
  for (const line of lines) {
    const value = line.series.parameters?.[key];
    // What lacks the hyper-parameter stays as it is; so does what has other evaluation points than the rest.
    const first = groups.get(value)?.[0];
    if (value === undefined || (first && first.mean.length !== line.mean.length)) rest.push(line);
    else groups.set(value, [...(groups.get(value) ?? []), line]);
  }
  const styles = [...new Set(lines.map((line) => line.series.parameters?.[key]).filter((value) => value !== undefined))].sort(byValue);
  const marks = Object.keys(SHAPES);
  const made = [...groups].sort(([a], [b]) => byValue(a, b)).map(([value, members]) => {
    const place = styles.indexOf(value);
    const nothing = members[0].mean.map(() => null);
    return {
      series: { name: `${key} = ${value}`, mark: "", colour: place % 7, dash: [], marker: marks[place % marks.length] },
      x: meanOf(members.map((line) => line.x)),
      mean: meanOf(members.map((line) => line.mean)),
      low: nothing, high: nothing, n: nothing, seeds: [], members,
    };
  });
  return [...made, ...rest];
}

/** Point by point; nothing where one of the lists has nothing. */
function meanOf(lists) {
  return lists[0].map((_, i) => {
    const values = lists.map((list) => list[i]);
    return values.includes(null) ? null : values.reduce((sum, value) => sum + value, 0) / values.length;
  });
}

function byValue(a, b) {
  return Number(a) - Number(b) || String(a).localeCompare(String(b));
}

/** A choice of the hyper-parameters in which algorithms differ on some task, in the bar at the top. */
function startGrouping(groups) {
  const charts = [...groups.values()].flatMap((group) => group.charts).filter((chart) => chart.data.series.some((series) => series.parameters));
  const keys = new Set();
  for (const chart of charts) {
    const values = new Map();
    for (const { parameters } of chart.data.series) {
      for (const [key, value] of Object.entries(parameters ?? {})) values.set(key, (values.get(key) ?? new Set()).add(value));
    }
    for (const [key, found] of values) if (found.size > 1) keys.add(key);
  }
  const bar = document.querySelector(".filters");
  if (!keys.size || !bar) return;
  const choice = make("select", { id: "group-by" }, make("option", { value: "" }, "algorithm"));
  for (const key of [...keys].sort()) choice.append(make("option", { value: key }, key));
  bar.append(make("label", { for: choice.id }, "Group by"), choice);
  const apply = () => {
    for (const group of groups.values()) group.by = choice.value || null;
    for (const chart of charts) groupTable(chart, choice.value);
    for (const group of groups.values()) group.changed();
  };
  choice.addEventListener("change", apply);
  keep("group", () => choice.value, (text) => {
    if (choice.value === (keys.has(text) ? text : "")) return;
    choice.value = keys.has(text) ? text : "";
    apply();
  });
}

/** The value in a last column of the task's table of results, whose rows it orders; without a key all is as before. */
function groupTable(chart, key) {
  const table = chart.figure.closest("section[data-task]")?.querySelector("table.sortable");
  if (!table) return;
  for (const cell of table.querySelectorAll(".by")) cell.remove();
  const sorted = [...table.tHead.rows[0].cells].some((cell) => cell.hasAttribute("aria-sort"));
  if (!sorted) table.tBodies[0].append(...table.unsorted);
  if (!key) return;
  const named = new Map(chart.data.series.map((series) => [series.name, series.parameters?.[key]]));
  table.tHead.rows[0].append(make("th", { scope: "col", class: "by" }, key));
  for (const row of table.tBodies[0].rows) row.append(make("td", { class: "by" }, named.get(nameOf(row, named)) ?? "–"));
  if (sorted) return;
  const value = (row) => row.lastElementChild.textContent;
  table.tBodies[0].append(...[...table.tBodies[0].rows].sort((a, b) => byValue(value(a), value(b))));
}
