// The sites of a scan or plan, and the functions that they stand in. Field order must match report_data.cpp.
if (document.getElementById("site-table")) {
  const site = { address: 0, section: 1, symbol: 2, offset: 3, mode: 4, bytes: 5, text: 6, mnemonic: 7, form: 8, privileged: 9,
    flags: 10, evidence: 11, context: 12, source: 13, operation: 14, technique: 15, why: 16, executions: 17 };
  const fn = { symbol: 0, section: 1, critical: 2, findings: 3, mnemonics: 4 };
  const CRITICAL = 1, CONTROL = 2, MODE = 4, LOCATION = 8, TRAPS = 16, UNKNOWN = 32;
  const EVIDENCE = ["reached", "swept", "hidden", "executed"];
  const place = (row) => text(row[site.symbol]) ? text(row[site.symbol]) + "+0x" + row[site.offset].toString(16) : "";
  const behavior = (flags) => flags & MODE ? (flags & LOCATION ? "both" : "mode") : flags & LOCATION ? "location" : "no";

  const changed = () => siteTable.update();
  const search = searchField("function, address, bytes, section...", (row) => ["0x" + row[site.address], place(row), row[site.bytes],
    ...["section", "text", "form", "privileged", "context", "source", "operation", "technique"].map((name) => text(row[site[name]]))], changed);
  const onlyCritical = make("input", { type: "checkbox", onchange: changed });
  onlyCritical.checked = data.sites.some((row) => row[site.flags] & CRITICAL);
  const byMnemonic = choice("Mnemonic", "all", data.sites, (row) => text(row[site.mnemonic]), changed);
  const bySection = choice("Section", "all", data.sites, (row) => text(row[site.section]), changed);
  const byEvidence = choice("Evidence", "all", data.sites, (row) => EVIDENCE[row[site.evidence]], changed);
  const byTechnique = choice("Technique", "all", data.sites, (row) => text(row[site.technique]), changed);
  const selects = [byMnemonic, bySection, byEvidence, byTechnique];
  const keepSite = (row) => (!onlyCritical.checked || row[site.flags] & CRITICAL) && selects.every((s) => s.keeps(row)) && search.keeps(row);

  const tags = (row) => {
    const flags = row[site.flags], node = make("span");
    const privileged = text(row[site.privileged]);
    if (flags & CRITICAL) node.append(make("span", { class: "tag critical" }, "critical"));
    if (privileged !== "no") node.append(make("span", { class: flags & TRAPS ? "tag privileged" : "tag" }, privileged === "yes" ? "privileged" : privileged));
    return node;
  };
  const siteDetail = (row) => {
    const flags = row[site.flags];
    return details([["bytes", row[site.bytes], true], ["section", text(row[site.section]), true], ["source", text(row[site.source]), true], ["mode", text(row[site.mode])],
      ["form", text(row[site.form]), true], ["privileged", text(row[site.privileged])], ["control-sensitive", flags & UNKNOWN ? "" : flags & CONTROL ? "yes" : "no"],
      ["behavior-sensitive", flags & UNKNOWN ? "" : behavior(flags)], ["context", text(row[site.context])], ["operation", text(row[site.operation]), true],
      ["technique", text(row[site.technique])], ["why", text(row[site.why])], ["executions", row[site.executions] ? grouped(row[site.executions]) : ""]]);
  };
  const columns = [
    // Strings are numbered as they are met, so a section's number keeps the order of the file.
    { title: "Address", key: (row) => String(row[site.section]).padStart(8, "0") + row[site.address].padStart(16, "0"), cell: (row) => code("0x" + row[site.address]) },
    { title: "Instruction", key: (row) => text(row[site.text]), cell: (row) => code(text(row[site.text])) },
    { title: "Function", key: (row) => text(row[site.symbol]), cell: (row) => code(place(row)) },
    { title: "Section", key: (row) => text(row[site.section]), cell: (row) => code(text(row[site.section])), wide: true },
    { title: "Tags", key: (row) => (row[site.flags] & CRITICAL ? "0" : "1") + text(row[site.privileged]), cell: tags, wide: true },
    { title: "Evidence", key: (row) => row[site.evidence], cell: (row) => EVIDENCE[row[site.evidence]] },
    { title: "Technique", key: (row) => text(row[site.technique]), cell: (row) => text(row[site.technique]), wide: true },
  ];
  if (data.runs.length > 0)
    columns.push({ title: "Executions", key: (row) => row[site.executions], cell: (row) => row[site.executions] ? grouped(row[site.executions]) : "", number: true });
  const siteTable = pagedTable(document.getElementById("site-table"), "Findings", data.sites, columns,
    [search.label, ...selects.map((s) => s.label), make("label", { class: "check" }, onlyCritical, "critical only")], keepSite, siteDetail, 0, 100);

  function showFunction(row) {
    search.node.value = text(row[fn.symbol]);
    for (const s of selects) s.node.selectedIndex = 0;
    bySection.node.value = text(row[fn.section]);
    onlyCritical.checked = true;
    siteTable.update();
    document.getElementById("sites").scrollIntoView();
  }

  if (data.functions.length > 0) {
    const find = searchField("name, section, mnemonic...", (row) => [text(row[fn.symbol]), text(row[fn.section]), text(row[fn.mnemonics])], () => functionTable.update());
    const functionTable = pagedTable(document.getElementById("function-table"), "Functions with critical sites", data.functions, [
      { title: "Function", key: (row) => text(row[fn.symbol]), cell: (row) => make("button", { type: "button", title: "Show its sites", onclick: () => showFunction(row) }, code(text(row[fn.symbol]) || "(no symbol)")) },
      { title: "Section", key: (row) => text(row[fn.section]), cell: (row) => code(text(row[fn.section])), wide: true },
      { title: "Critical", key: (row) => row[fn.critical], cell: (row) => grouped(row[fn.critical]), number: true },
      { title: "All", key: (row) => row[fn.findings], cell: (row) => grouped(row[fn.findings]), number: true, wide: true },
      { title: "Critical by mnemonic", key: (row) => text(row[fn.mnemonics]), cell: (row) => text(row[fn.mnemonics]), wide: true },
    ], [find.label], find.keeps, null, 2, 25);
  }
}
