"use strict";
// Two paged tables over the embedded data. Field order must match report_data.cpp. Names come from a hostile image: they
// are set as text, never as markup.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const text = (i) => data.strings[i];
  const site = { address: 0, section: 1, symbol: 2, offset: 3, mode: 4, bytes: 5, text: 6, mnemonic: 7, form: 8, privileged: 9,
    flags: 10, evidence: 11, context: 12, source: 13, operation: 14, technique: 15, why: 16 };
  const fn = { symbol: 0, section: 1, critical: 2, findings: 3, mnemonics: 4 };
  const CRITICAL = 1, CONTROL = 2, MODE = 4, LOCATION = 8, TRAPS = 16;
  const EVIDENCE = ["reached", "swept", "hidden"];

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
  const place = (row) => text(row[site.symbol]) ? text(row[site.symbol]) + "+0x" + row[site.offset].toString(16) : "";
  const behavior = (flags) => flags & MODE ? (flags & LOCATION ? "both" : "mode") : flags & LOCATION ? "location" : "no";

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

  // Filters of the site table.
  const count = (rows, key) => rows.reduce((sum, row) => sum.set(key(row), (sum.get(key(row)) || 0) + 1), new Map());
  const changed = () => siteTable.update();
  const select = (label, all, key) => {
    const counts = [...count(data.sites, key)].filter(([name]) => name !== "").sort((a, b) => b[1] - a[1] || order(a[0], b[0]));
    const node = make("select", { onchange: changed }, make("option", { value: "" }, all));
    for (const [name, sites] of counts) node.append(make("option", { value: name }, `${name} (${grouped(sites)})`));
    return { node, label: make("label", {}, label, node), keeps: (row) => node.selectedIndex === 0 || key(row) === node.value };
  };
  const haystacks = new Map();
  const haystack = (row) => {
    let hay = haystacks.get(row);
    if (hay === undefined) {
      hay = ["0x" + row[site.address], place(row), row[site.bytes],
        ...["section", "text", "form", "privileged", "context", "source", "operation", "technique"].map((name) => text(row[site[name]]))].join("\n").toLowerCase();
      haystacks.set(row, hay);
    }
    return hay;
  };
  // Waits until typing pauses: a pass over 10,000 rows takes some ten milliseconds.
  const later = (act) => { let timer; return () => { clearTimeout(timer); timer = setTimeout(act, 120); }; };
  const search = make("input", { type: "search", placeholder: "function, address, bytes, section...", oninput: later(changed) });
  const onlyCritical = make("input", { type: "checkbox", onchange: changed });
  onlyCritical.checked = data.sites.some((row) => row[site.flags] & CRITICAL);
  const byMnemonic = select("Mnemonic", "all", (row) => text(row[site.mnemonic]));
  const bySection = select("Section", "all", (row) => text(row[site.section]));
  const byEvidence = select("Evidence", "all", (row) => EVIDENCE[row[site.evidence]]);
  const byTechnique = select("Technique", "all", (row) => text(row[site.technique]));
  const selects = [byMnemonic, bySection, byEvidence, byTechnique];
  const keepSite = (row) => (!onlyCritical.checked || row[site.flags] & CRITICAL) && selects.every((s) => s.keeps(row)) &&
    search.value.toLowerCase().split(/\s+/).every((word) => word === "" || haystack(row).includes(word));

  const tags = (row) => {
    const flags = row[site.flags], node = make("span");
    const privileged = text(row[site.privileged]);
    if (flags & CRITICAL) node.append(make("span", { class: "tag critical" }, "critical"));
    if (privileged !== "no") node.append(make("span", { class: flags & TRAPS ? "tag privileged" : "tag" }, privileged === "yes" ? "privileged" : privileged));
    return node;
  };
  const siteDetail = (row) => {
    const flags = row[site.flags], list = make("dl");
    const item = (name, value, asCode) => { if (value) list.append(make("dt", {}, name), make("dd", {}, asCode ? code(value) : value)); };
    item("bytes", row[site.bytes], true);
    item("section", text(row[site.section]), true);
    item("source", text(row[site.source]), true);
    item("mode", text(row[site.mode]));
    item("form", text(row[site.form]), true);
    item("privileged", text(row[site.privileged]));
    item("control-sensitive", flags & CONTROL ? "yes" : "no");
    item("behavior-sensitive", behavior(flags));
    item("context", text(row[site.context]));
    item("operation", text(row[site.operation]), true);
    item("technique", text(row[site.technique]));
    item("why", text(row[site.why]));
    return list;
  };
  const siteTable = pagedTable(document.getElementById("site-table"), "Findings", data.sites, [
    // Strings are numbered as they are met, so a section's number keeps the order of the file.
    { title: "Address", key: (row) => String(row[site.section]).padStart(8, "0") + row[site.address].padStart(16, "0"), cell: (row) => code("0x" + row[site.address]) },
    { title: "Instruction", key: (row) => text(row[site.text]), cell: (row) => code(text(row[site.text])) },
    { title: "Function", key: (row) => text(row[site.symbol]), cell: (row) => code(place(row)) },
    { title: "Section", key: (row) => text(row[site.section]), cell: (row) => code(text(row[site.section])), wide: true },
    { title: "Tags", key: (row) => (row[site.flags] & CRITICAL ? "0" : "1") + text(row[site.privileged]), cell: tags, wide: true },
    { title: "Evidence", key: (row) => row[site.evidence], cell: (row) => EVIDENCE[row[site.evidence]] },
    { title: "Technique", key: (row) => text(row[site.technique]), cell: (row) => text(row[site.technique]), wide: true },
  ], [make("label", {}, "Search", search), ...selects.map((s) => s.label), make("label", { class: "check" }, onlyCritical, "critical only")],
  keepSite, siteDetail, 0, 100);

  function showFunction(row) {
    search.value = text(row[fn.symbol]);
    for (const s of selects) s.node.selectedIndex = 0;
    bySection.node.value = text(row[fn.section]);
    onlyCritical.checked = true;
    siteTable.update();
    document.getElementById("sites").scrollIntoView();
  }

  // Functions.
  if (data.functions.length > 0) {
    const find = make("input", { type: "search", placeholder: "name, section, mnemonic...", oninput: later(() => functionTable.update()) });
    const keepFunction = (row) => {
      const hay = [text(row[fn.symbol]), text(row[fn.section]), text(row[fn.mnemonics])].join("\n").toLowerCase();
      return find.value.toLowerCase().split(/\s+/).every((word) => hay.includes(word));
    };
    const functionTable = pagedTable(document.getElementById("function-table"), "Functions with critical sites", data.functions, [
      { title: "Function", key: (row) => text(row[fn.symbol]), cell: (row) => make("button", { type: "button", title: "Show its sites", onclick: () => showFunction(row) }, code(text(row[fn.symbol]) || "(no symbol)")) },
      { title: "Section", key: (row) => text(row[fn.section]), cell: (row) => code(text(row[fn.section])), wide: true },
      { title: "Critical", key: (row) => row[fn.critical], cell: (row) => grouped(row[fn.critical]), number: true },
      { title: "All", key: (row) => row[fn.findings], cell: (row) => grouped(row[fn.findings]), number: true, wide: true },
      { title: "Critical by mnemonic", key: (row) => text(row[fn.mnemonics]), cell: (row) => text(row[fn.mnemonics]), wide: true },
    ], [make("label", {}, "Search", find)], keepFunction, null, 2, 25);
  }
})();
