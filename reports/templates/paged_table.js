"use strict";
// The embedded data, and tables of their rows that sort, filter and turn pages; site_tables.js and run_tables.js use them.
// Names come from hostile images and documents: they are set as text, never as markup.
const data = JSON.parse(document.getElementById("data").textContent);
const text = (i) => data.strings[i];

const make = (name, attributes = {}, ...children) => {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) node.addEventListener(key.slice(2), value);
    else if (value !== false && value !== undefined) node.setAttribute(key, value === true ? "" : value);
  }
  node.append(...children);
  return node;
};
const code = (s) => make("code", {}, s);
const grouped = (n) => n.toLocaleString("en-US");
const order = (a, b) => (a < b ? -1 : a > b ? 1 : 0);
const count = (rows, key) => rows.reduce((sum, row) => sum.set(key(row), (sum.get(key(row)) || 0) + 1), new Map());
// Waits until typing pauses: a pass over 10,000 rows takes some ten milliseconds.
const later = (act) => { let timer; return () => { clearTimeout(timer); timer = setTimeout(act, 120); }; };
// A choice among the values that `key` takes in `rows`; it keeps the rows with the chosen one.
function choice(label, all, rows, key, changed) {
  const counts = [...count(rows, key)].filter(([name]) => name !== "").sort((a, b) => b[1] - a[1] || order(a[0], b[0]));
  const node = make("select", { onchange: changed }, make("option", { value: "" }, all));
  for (const [name, sites] of counts) node.append(make("option", { value: name }, `${name} (${grouped(sites)})`));
  return { node, label: make("label", {}, label, node), keeps: (row) => node.selectedIndex === 0 || key(row) === node.value, empty: counts.length === 0 };
}
// A search field whose words must all be in `hay(row)`, which is computed once for each row.
function searchField(placeholder, hay, changed) {
  const node = make("input", { type: "search", placeholder, oninput: later(changed) });
  const hays = new Map();
  const hayOf = (row) => {
    let found = hays.get(row);
    if (found === undefined) hays.set(row, found = hay(row).join("\n").toLowerCase());
    return found;
  };
  return { node, label: make("label", {}, "Search", node), keeps: (row) => node.value.toLowerCase().split(/\s+/).every((word) => word === "" || hayOf(row).includes(word)) };
}
// A list of details; empty values are left out.
function details(items) {
  const list = make("dl");
  for (const [name, value, asCode] of items) if (value) list.append(make("dt", {}, name), make("dd", {}, asCode ? code(value) : value));
  return list;
}

// A table of `rows` with sortable columns {title, key, cell, number, wide}, `keep(row)` from the filters,
// `detail(row)` or null, and `size` rows on a page.
function pagedTable(host, label, rows, columns, controls, keep, detail, firstSort, size) {
  let sorted = { column: firstSort, down: columns[firstSort].number === true };
  let shown = [], page = 0;
  const body = make("tbody");
  const status = make("output", { "aria-live": "polite" });
  const previous = make("button", { type: "button", onclick: () => turn(-1) }, "Previous");
  const next = make("button", { type: "button", onclick: () => turn(1) }, "Next");
  const heads = columns.map((column, i) => make("th", { scope: "col", class: [column.number && "number", column.wide && "wide"].filter(Boolean).join(" ") || undefined },
    make("button", { type: "button", onclick: () => sortBy(i) }, column.title)));
  const table = make("table", {}, make("caption", { class: "hidden" }, label), make("thead", {}, make("tr", {}, ...heads)), body);
  const pages = make("div", { class: "pages" }, status, previous, next);
  host.replaceChildren(make("div", { class: "filters", role: "search", "aria-label": "Filter: " + label }, ...controls), pages,
    make("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": label }, table));

  function turn(by) { page += by; draw(); }
  function sortBy(i) {
    sorted = { column: i, down: sorted.column === i ? !sorted.down : columns[i].number === true };
    update();
  }
  function update() {
    const { key } = columns[sorted.column];
    const sign = sorted.down ? -1 : 1;
    // Keys are computed once for each row; equal rows keep the order of the document.
    shown = rows.map((row, i) => ({ row, i })).filter((x) => keep(x.row)).map((x) => ({ ...x, key: key(x.row) }))
      .sort((a, b) => sign * order(a.key, b.key) || a.i - b.i).map((x) => x.row);
    page = 0;
    draw();
  }
  function draw() {
    const last = Math.max(0, Math.ceil(shown.length / size) - 1);
    page = Math.min(Math.max(page, 0), last);
    heads.forEach((head, i) => head.setAttribute("aria-sort", i !== sorted.column ? "none" : sorted.down ? "descending" : "ascending"));
    const from = page * size, part = shown.slice(from, from + size);
    body.replaceChildren(...part.map(rowOf));
    status.textContent = shown.length === 0 ? "No row fits the filters."
      : `${grouped(from + 1)} to ${grouped(from + part.length)} of ${grouped(shown.length)}` + (shown.length < rows.length ? ` (${grouped(rows.length)} in all)` : "");
    previous.disabled = page === 0;
    next.disabled = page === last;
  }
  function rowOf(row) {
    const line = make("tr");
    columns.forEach((column, i) => {
      const cls = [column.number && "number", column.wide && "wide"].filter(Boolean).join(" ") || undefined;
      const content = column.cell(row);
      if (i === 0 && detail) {
        const button = make("button", { type: "button", "aria-expanded": "false", title: "Show details", onclick: () => toggle(button, line, row) }, content);
        line.append(make("th", { scope: "row" }, button));
      } else {
        line.append(i === 0 ? make("th", { scope: "row", class: cls }, content) : make("td", { class: cls }, content));
      }
    });
    return line;
  }
  function toggle(button, line, row) {
    const open = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!open));
    if (open) line.nextSibling.remove();
    else line.after(make("tr", { class: "detail" }, make("td", { colspan: columns.length }, detail(row))));
  }
  update();
  return { update };
}
