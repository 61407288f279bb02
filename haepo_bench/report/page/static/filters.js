// Which algorithms and tasks the page shows: words that their names contain, one of them is enough.

function startFilters(groups) {
  const sections = [...document.querySelectorAll("section[data-task]")];
  const names = new Set([...document.querySelectorAll("[data-series]")].map((each) => each.dataset.series));
  const rows = [...document.querySelectorAll("main tbody tr")].map((row) => [row, nameOf(row, names)]).filter(([, name]) => name !== null);
  const columns = [...document.querySelectorAll(".heat table")];
  if (!names.size) return;
  const box = make("div", { class: "filters", role: "search" });
  const fields = {};
  for (const [key, label] of [["algorithms", "Algorithms"], ["tasks", "Tasks"]]) {
    const field = make("input", { type: "search", id: `filter-${key}`, placeholder: "all", autocomplete: "off" });
    field.addEventListener("input", () => apply());
    fields[key] = field;
    box.append(make("label", { for: field.id }, label), field);
    keep(key, () => field.value.trim(), (text) => {
      if (field.value === text) return;
      field.value = text;
      apply();
    });
  }
  const count = make("output", { "aria-live": "polite" });
  box.append(count);
  document.querySelector(".contents").append(box);

  const admits = (field) => {
    const words = field.value.toLowerCase().split(/[\s,]+/).filter(Boolean);
    return (name) => !words.length || words.some((word) => name.toLowerCase().includes(word));
  };
  function apply() {
    const [algorithm, task] = [admits(fields.algorithms), admits(fields.tasks)];
    for (const [row, name] of rows) row.hidden = !algorithm(name);
    for (const section of sections) section.hidden = !task(section.dataset.task);
    for (const table of columns) {
      for (const row of table.rows) [...row.cells].forEach((cell, i) => (cell.hidden = i > 0 && !task(table.rows[0].cells[i].dataset.task)));
    }
    for (const group of groups.values()) {
      group.admits = algorithm;
      group.changed();
    }
    const tasks = [...new Set(sections.map((each) => each.dataset.task))];
    const shown = [[...names].filter(algorithm).length, tasks.filter(task).length];
    const any = fields.algorithms.value.trim() || fields.tasks.value.trim();
    count.textContent = any ? `${shown[0]} of ${names.size} algorithms, ${shown[1]} of ${tasks.length} tasks` : "";
    remember();
  }
}

/** The algorithm that a table's row is about; null where it is about none. */
function nameOf(row, names) {
  const head = row.cells[0];
  if (head?.tagName !== "TH") return null;
  const text = [...head.childNodes].filter((node) => node.nodeType === Node.TEXT_NODE).map((node) => node.data).join("").trim();
  if (names.has(text)) return text;
  const bare = text.replace(/[*†‡§¶]+$/u, "");
  return names.has(bare) ? bare : null;
}
