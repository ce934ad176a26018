// Tables that sort: those that the page was written with, and those made here when they are needed.

/** Read the number at the start of a cell: `1,234 (1,200 to 1,300)` is 1234, `22.7 M` 22.7; nan where there is none. */
function leadingNumber(text) {
  const found = /^[≥\s]*([+-]?[\d,]*\.?\d+(?:e[+-]?\d+)?)/i.exec(text.replace("−", "-"));
  return found ? Number(found[1].replaceAll(",", "")) : Number.NaN;
}

/** Compare two sort keys, numbers before texts; what has no value goes last whichever way is up. */
function compareKeys(first, second, sign) {
  const none = [first, second].map((key) => key === null || key === "" || Number.isNaN(key));
  if (none[0] || none[1]) return none[0] - none[1];
  if (typeof first === "number" && typeof second === "number") return sign * (first - second);
  return sign * String(first).localeCompare(String(second), "en", { numeric: true });
}

/** Turn a column's heading into a button; `sort(column, sign)` puts the rows in order. */
function sortableHead(headings, numeric, sort) {
  headings.forEach((heading, column) => {
    const button = make("button", { type: "button", class: "sort" }, ...heading.childNodes);
    heading.replaceChildren(button);
    button.addEventListener("click", () => {
      const before = heading.getAttribute("aria-sort");
      const ascending = before ? before === "descending" : !numeric(column);
      headings.forEach((other) => other.removeAttribute("aria-sort"));
      heading.setAttribute("aria-sort", ascending ? "ascending" : "descending");
      sort(column, ascending ? 1 : -1);
      say(`Sorted by ${button.textContent}, ${ascending ? "ascending" : "descending"}`);
    });
  });
}

/** Make a table that was written with the page sortable by its texts. */
function enhance(table) {
  const headings = [...table.tHead.rows[0].cells];
  const body = table.tBodies[0];
  nameCells(table);
  const numeric = (column) => headings[column].classList.contains("number");
  const key = (row, column) => {
    const text = row.cells[column].textContent.trim();
    return numeric(column) ? leadingNumber(text) : text;
  };
  sortableHead(headings, numeric, (column, sign) => {
    const rows = [...body.rows].map((row) => [key(row, column), row]);
    rows.sort(([first], [second]) => compareKeys(first, second, sign));
    body.append(...rows.map(([, row]) => row));
  });
}

/** Tell each cell what its column is called: on a narrow page a row stands as a list of these. */
function nameCells(table) {
  const heads = [...table.tHead.rows[0].cells].map((cell) => cell.textContent);
  for (const row of table.tBodies[0].rows) [...row.cells].forEach((cell, column) => { cell.dataset.head = heads[column]; });
}

const mostRows = 200;

/**
 * Make a table of rows that are kept as data: `columns` say of each its title, whether it is a number, the key by which
 * it sorts and what a cell shows. More than 200 rows wait for a button. `mark(row)` names a class.
 */
function dataTable({ caption, note, columns, rows, label, mark = () => "" }) {
  let shown = rows;
  let all = false;
  const body = make("tbody");
  const more = make("button", { type: "button", class: "quiet more" });
  const fill = () => {
    const visible = all ? shown : shown.slice(0, mostRows);
    body.replaceChildren(
      ...visible.map((row) =>
        make("tr", { class: mark(row) || null, "data-row": typeof row === "number" ? row : null },
          ...columns.map((column, place) =>
            place === 0
              ? make("th", { scope: "row" }, column.cell(row))
              : make("td", { "data-head": column.title, class: column.number ? "number" : column.words ? "words" : null }, column.cell(row)),
          ),
        ),
      ),
    );
    more.hidden = all || shown.length <= mostRows;
    more.textContent = `Show all ${shown.length.toLocaleString("en")} rows`;
  };
  more.addEventListener("click", () => { all = true; fill(); });
  const headings = columns.map((column) => make("th", { scope: "col", class: column.number ? "number" : null }, column.title));
  sortableHead(headings, (column) => columns[column].number && !columns[column].low, (column, sign) => {
    const keys = new Map(rows.map((row) => [row, columns[column].key(row)]));
    shown = [...rows].sort((first, second) => compareKeys(keys.get(first), keys.get(second), sign));
    fill();
  });
  fill();
  const title = make("caption", {}, caption, note ? make("span", { class: "soft" }, ` ${note}`) : null);
  return make("div", { class: "scroll", role: "region", "aria-label": label || caption, tabindex: "0" },
    make("table", { class: "data" }, title, make("thead", {}, make("tr", {}, ...headings)), body), more);
}

/** Describe a column of a figure for `dataTable`, sorted by its value; `low` sorts the smallest first. */
function figureColumn(title, value, as, extra = {}) {
  return { title, number: true, key: (row) => { const found = value(row); return known(found) ? (found === shared.never ? Infinity : found) : null; }, cell: (row) => as(value(row), row), ...extra };
}
