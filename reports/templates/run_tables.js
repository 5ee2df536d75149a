// The places that ran, one table for each run. Field order must match report_data.cpp.
data.runs.forEach((rows, number) => {
  const host = document.getElementById(`run-${number + 1}-site-table`);
  if (!host || rows.length === 0) return;
  const run = { address: 0, text: 1, place: 2, technique: 3, standing: 4, bytes: 5, ways: 6 };
  const WAYS = ["trap", "breakpoint", "hypercall", "interpreted"];
  const executions = (row, way) => row[run.ways + 2 * way];
  const time = (row, way) => row[run.ways + 2 * way + 1];
  const sum = (row, of) => WAYS.reduce((all, _, way) => all + of(row, way), 0);
  // As readable_duration of text_encoding.cpp: three digits, cut.
  const duration = (ns) => {
    let unit = 0, size = 1;
    while (unit < 3 && ns / size >= 1000) { size *= 1000; ++unit; }
    const value = ns / size, digits = unit === 0 || value >= 100 ? 0 : value >= 10 ? 1 : 2;
    return (Math.floor(value * 10 ** digits) / 10 ** digits).toLocaleString("en-US", { minimumFractionDigits: digits }) + " " + ["ns", "\u00b5s", "ms", "s"][unit];
  };
  // Arrivals that were timed: what was interpreted on the way was not.
  const arrivals = (row) => sum(row, executions) - executions(row, WAYS.indexOf("interpreted"));
  const bar = (row) => {
    const label = WAYS.map((way, i) => executions(row, i) ? `${way} ${grouped(executions(row, i))}` : "").filter(Boolean).join(", ");
    const node = make("div", { class: "bar", role: "img", "aria-label": label, title: label });
    WAYS.forEach((way, i) => { if (executions(row, i)) node.append(make("i", { class: way + "-way", style: `width:${100 * executions(row, i) / sum(row, executions)}%` })); });
    return node;
  };
  const planned = (row) => text(row[run.technique]) || text(row[run.standing]);
  const changed = () => table.update();
  const search = searchField("function, address, instruction, bytes...", (row) => ["0x" + row[run.address], text(row[run.text]), text(row[run.place]), row[run.bytes], planned(row)], changed);
  const byWay = choice("Mostly by", "all", rows, (row) => WAYS.reduce((best, way, i) => executions(row, i) > executions(row, WAYS.indexOf(best)) ? way : best, WAYS[0]), changed);
  const byPlan = choice("Planned as", "all", rows, planned, changed);
  const detail = (row) => details([["bytes", row[run.bytes], true], ["planned as", text(row[run.technique])], ["not in the documents", text(row[run.standing])],
    ...WAYS.map((way, i) => [way, executions(row, i) ? `${grouped(executions(row, i))} in ${duration(time(row, i))}` : ""])]);
  const number_of = (title, of, show, wide) => ({ title, key: of, cell: (row) => of(row) ? show(of(row)) : "", number: true, wide });
  const columns = [
    { title: "Address", key: (row) => row[run.address].padStart(16, "0"), cell: (row) => code("0x" + row[run.address]) },
    { title: "Instruction", key: (row) => text(row[run.text]), cell: (row) => code(text(row[run.text])) },
    { title: "Function", key: (row) => text(row[run.place]), cell: (row) => code(text(row[run.place])) },
    { title: "Planned as", key: planned, cell: planned, wide: true },
    { title: "By way", key: (row) => arrivals(row) / sum(row, executions), cell: bar, wide: true },
    number_of("Executions", (row) => sum(row, executions), grouped),
    number_of("Time", (row) => sum(row, time), duration),
    number_of("Each", (row) => Math.floor(sum(row, time) / arrivals(row)) || 0, duration, true),
  ].filter((column) => column.title !== "Function" || rows.some((row) => text(row[run.place])));
  const legend = host.querySelector(".legend");
  const table = pagedTable(host, "Executed sites", rows, columns, [search.label, byWay.label, ...(byPlan.empty ? [] : [byPlan.label])],
    (row) => search.keeps(row) && byWay.keeps(row) && byPlan.keeps(row), detail, columns.findIndex((column) => column.title === "Executions"), 25);
  if (legend) host.querySelector(".scroll").before(legend);
});
