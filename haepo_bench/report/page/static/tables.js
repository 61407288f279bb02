// Tables: sorting by a click on a heading, and which of their columns are shown.

/** A click on a column's head sorts by it: numbers from high to low first, text from A to Z. */
function startTables() {
  const tables = [...document.querySelectorAll("table.sortable")];
  for (const table of tables) {
    [...table.tHead.rows[0].cells].forEach((head, column) => {
      const button = make("button", { type: "button", class: "sort" });
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        sortBy(table, column);
        remember();
      });
    });
    table.unsorted = [...table.tBodies[0].rows];
  }
  keep("sort", () => tables.map(sortKept).filter(Boolean).join(" "), (text) => sortAgain(tables, text));
  const switches = [...document.querySelectorAll(".all-columns input")];
  for (const box of switches) box.addEventListener("change", remember);
  keep(
    "columns",
    () => switches.map((box, i) => (box.checked ? i : "")).filter((i) => i !== "").join(" "),
    (text) => switches.forEach((box, i) => (box.checked = text.split(" ").includes(String(i)))),
  );
}

/** `TABLE.COLUMN.ORDER`; empty for a table in its own order. */
function sortKept(table, number) {
  const column = [...table.tHead.rows[0].cells].findIndex((cell) => cell.hasAttribute("aria-sort"));
  return column < 0 ? "" : `${number}.${column}.${table.tHead.rows[0].cells[column].getAttribute("aria-sort")}`;
}

function sortAgain(tables, text) {
  for (const table of tables) {
    const head = table.tHead.rows[0].cells;
    if (![...head].some((cell) => cell.hasAttribute("aria-sort"))) continue;
    for (const cell of head) cell.removeAttribute("aria-sort");
    table.tBodies[0].append(...table.unsorted);
  }
  for (const part of text.split(" ")) {
    const [table, column, order] = part.split(".");
    if (tables[table]?.tHead.rows[0].cells[column]) sortBy(tables[table], Number(column), order);
  }
}

function sortBy(table, column, wanted = null) {
  const head = table.tHead.rows[0].cells[column];
  const content = (row) => row.cells[column].firstChild?.textContent.trim() ?? "";
  const number = (row) => Number.parseFloat(content(row).replaceAll(",", ""));
  const rows = [...table.tBodies[0].rows];
  const numeric = rows.some((row) => Number.isFinite(number(row)));
  const first = numeric ? "descending" : "ascending";
  const other = numeric ? "ascending" : "descending";
  const order = wanted ?? (head.getAttribute("aria-sort") === first ? other : first);
  for (const cell of head.parentNode.cells) cell.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", order);
  const sign = order === "ascending" ? 1 : -1;
  rows.sort((a, b) => {
    if (!numeric) return sign * content(a).localeCompare(content(b));
    const [x, y] = [number(a), number(b)];
    if (Number.isNaN(x) || Number.isNaN(y)) return Number.isNaN(x) - Number.isNaN(y);
    return sign * (x - y);
  });
  table.tBodies[0].append(...rows);
}
