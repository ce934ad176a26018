// What it costs, query by query, every setting, and what did not finish: the other sections of the group in view.

const algorithmColumn = (group, of) => ({ title: "Algorithm", key: (row) => group.algorithms[of(row)].name, cell: (row) => named(group.algorithms[of(row)]) });

const settingColumn = (group) => ({ title: "Setting", words: true, key: (row) => settingOf(group, row), cell: (row) => settingOf(group, row) || missing });

/** Return of each build the fastest setting that reaches the target. */
function buildsAt(group, target) {
  const { algorithm, build, recall, qps } = group.columns;
  const best = new Map();
  for (const row of rowsOf(group)) {
    if (!known(qps[row]) || !(recall[row] >= target - 1e-9)) continue;
    const key = `${algorithm[row]} ${build[row]}`;
    if (!best.has(key) || qps[row] > qps[best.get(key)]) best.set(key, row);
  }
  return [...best.values()];
}

function costPlot(measure, title, as) {
  const { group, target } = view;
  const cost = group.columns[measure];
  const { algorithm, qps } = group.columns;
  const rows = cost ? buildsAt(group, target).filter((row) => cost[row] > 0) : [];
  if (!rows.length) return cost ? `No build reaches a recall of ${target}.` : "Not known of any setting.";
  const traces = group.algorithms
    .map((one, number) => [one, rows.filter((row) => algorithm[row] === number).sort((a, b) => cost[a] - cost[b])])
    .filter(([, mine]) => mine.length)
    .sort(([first], [second]) => first.scratch - second.scratch)
    .map(([one, mine]) => {
      const { colour, line, symbol } = look(one);
      return {
        name: inPlot(one.name), mode: "lines+markers", x: mine.map((row) => cost[row]), y: mine.map((row) => qps[row]), customdata: mine,
        line: { ...line, width: line.width * 0.6 }, marker: { size: 10, color: colour, symbol, line: { width: 1, color: pageColour("card") } },
        hoverinfo: "text", hovertext: mine.map((row) => hoverOf(group, row)),
      };
    });
  const xaxis = measure === "index_bytes" ? bytesAxis(title, rows.map((row) => cost[row])) : logAxis(title, rows.map((row) => cost[row]), as);
  return { traces, layout: { xaxis, yaxis: logAxis(`QPS at recall ${target}`, rows.map((row) => qps[row]), shortCount) } };
}

/** Return a logarithmic axis of bytes, with ticks at powers of two. */
function bytesAxis(title, values) {
  const ticksOf = (from, to) => {
    const [low, high] = [from, to].map((power) => Math.log2(10 ** power));
    const step = Math.max(1, Math.round((high - low) / (narrow() ? 3 : 5)));
    const powers = [];
    for (let power = Math.ceil(low); power <= high; power += 1) if (power % step === 0) powers.push(2 ** power);
    return tickTexts(powers.length > 1 ? powers : logTicks(10 ** from, 10 ** to), write.bytes);
  };
  return logAxis(title, values, write.bytes, { ticksOf });
}

function costTable() {
  const { group, target } = view;
  const at = (name) => (row) => figureOf(group, name, row);
  const perVector = (row) => (group.rows && known(at("index_bytes")(row)) ? at("index_bytes")(row) / group.rows : null);
  const has = (name) => Boolean(group.columns[name]) && group.columns[name].some(known);
  return dataTable({
    caption: `Cost at a recall of at least ${target}`,
    note: has("break_even") ? `pays off: after so many queries the build has paid off against ${shared.reference}` : "",
    rows: chosenRows(group, target).map(([, row]) => row),
    columns: [
      algorithmColumn(group, at("algorithm")), settingColumn(group),
      figureColumn("QPS", at("qps"), write.count),
      figureColumn("Build", at("build_seconds"), write.seconds, { low: true }),
      figureColumn("Index", at("index_bytes"), write.bytes, { low: true }),
      figureColumn("Bytes a vector", perVector, write.count, { low: true }),
      ...[["Growth in the build", "uss_growth"], ["Peak in the build", "peak_build"], ["Peak in the search", "peak_search"]]
        .filter(([, name]) => has(name)).map(([title, name]) => figureColumn(title, at(name), write.bytes, { low: true })),
      ...(has("break_even") ? [figureColumn("Pays off after, queries", at("break_even"), write.count, { low: true })] : []),
    ],
  });
}

// Shares are spread like nines, so that the slowest queries get as much room as all the others.
const toTail = (share) => -Math.log10(Math.max(1 - share, 4e-4));
const fromTail = (place) => 1 - 10 ** -place;
const tailTicks = [0, 0.5, 0.9, 0.95, 0.99, 0.999];
const percent = (share) => `${Number((100 * share).toPrecision(6))}%`;

function tailTicksOf(from, to) {
  const ends = [Math.max(fromTail(from), 0), fromTail(to)];
  const shown = tailTicks.filter((share) => share >= ends[0] - 1e-9 && share <= ends[1] + 1e-9 && !(narrow() && share === 0.95));
  return tickTexts(shown.length < leastTicks ? evenTicks(...ends) : shown, percent, toTail);
}

function latencyPlot() {
  const { group, target } = view;
  const lines = chosenRows(group, target).filter(([, row]) => group.details[row] && group.details[row].latencies.length);
  if (!lines.length) return `No algorithm reaches a recall of ${target}.`;
  const last = shared.shares.length - 1; // the very slowest query is one figure alone: it has no place on this scale
  const traces = lines.map(([algorithm, row]) => ({
    ...curveLook(algorithm), name: inPlot(algorithm.name), customdata: shared.shares.slice(0, last).map(() => row),
    x: shared.shares.slice(0, last).map(toTail), y: group.details[row].latencies.slice(0, last), hoverinfo: "text",
    hovertext: shared.shares.slice(0, last).map((share, place) => hoverText([algorithm.name, cut(settingOf(group, row)), `${Number((100 * share).toFixed(1))}% within ${write.micros(group.details[row].latencies[place])}`])),
  }));
  const values = traces.flatMap((trace) => trace.y);
  return {
    traces,
    layout: {
      xaxis: axis("Share of queries", { ticksOf: tailTicksOf, range: [0, toTail(0.999) * 1.02] }),
      yaxis: logAxis("Latency, µs", values, shortCount),
    },
  };
}

function recallPlot() {
  const { group, target } = view;
  const lines = chosenRows(group, target).filter(([, row]) => group.details[row] && group.details[row].recalls.length);
  if (!lines.length) return `No algorithm reaches a recall of ${target}.`;
  let lowest = 1;
  const traces = lines.map(([algorithm, row]) => {
    const shares = group.details[row].recalls;
    const steps = shares.length - 1;
    let sum = 0;
    const heights = shares.map((share) => { sum += share; return Math.min(sum, 1); });
    lowest = Math.min(lowest, shares.findIndex((share) => share > 0) / steps);
    return {
      ...curveLook(algorithm), name: inPlot(algorithm.name), x: shares.map((_, place) => place / steps), y: heights, customdata: shares.map(() => row),
      line: { ...curveLook(algorithm).line, shape: "hv" }, hoverinfo: "text",
      hovertext: heights.map((height, place) => hoverText([algorithm.name, cut(settingOf(group, row)), `${Number((100 * height).toFixed(2))}% of the queries got a recall of ${Number((place / steps).toFixed(3))} or less`])),
    };
  });
  const room = Math.max(1 - lowest, 0.1);
  return {
    traces,
    layout: {
      xaxis: axis(`${group.key.recall} of a query`, { range: [Math.max(lowest - 0.08 * room, -0.02), 1 + 0.03 * room] }),
      yaxis: axis("Share of queries", { tickformat: ",.0%", range: [-0.02, 1.02] }),
    },
  };
}

function curveLook(algorithm) {
  const { line } = look(algorithm);
  return { mode: "lines", line };
}

function latencyTable() {
  const { group, target } = view;
  const at = (name) => (row) => figureOf(group, name, row);
  const latencies = group.key.mode === "batch" ? [] : ["p50", "p95", "p99", "p99.9"].map((name) => figureColumn(`${name}, µs`, at(name), write.count, { low: true }));
  return dataTable({
    caption: `Latency and recall at a recall of at least ${target}`,
    rows: chosenRows(group, target).map(([, row]) => row),
    columns: [algorithmColumn(group, at("algorithm")), settingColumn(group), ...latencies, figureColumn("Recall", at("recall"), write.share), figureColumn("Worst 5%", at("recall_worst5"), write.share), ...(group.columns["eps0.01"] ? [figureColumn("Within 1%", at("eps0.01"), write.share)] : [])],
  });
}

/** Fill the table of all settings when it is opened, not before: it may have thousands of rows. */
function fillEvery() {
  const { group } = view;
  const count = group.columns.recall.length;
  byId("every-count").textContent = `${count.toLocaleString("en")} setting${count === 1 ? "" : "s"}`;
  byId("every-table").replaceChildren();
  if (!byId("every").open) return;
  const at = (name) => (row) => figureOf(group, name, row);
  const ranged = (name, as) => (value, row) => {
    const range = write.range(at(`${name}_low`)(row), at(`${name}_high`)(row), as);
    return make("span", {}, as(value), range ? make("span", { class: "soft" }, range) : null);
  };
  byId("every-table").append(dataTable({
    caption: `All settings measured on ${group.key.dataset}`,
    rows: rowsOf(group),
    mark: (row) => (row === view.point ? "current" : ""),
    columns: [
      algorithmColumn(group, at("algorithm")), settingColumn(group),
      figureColumn("Recall", at("recall"), ranged("recall", write.share)), figureColumn("QPS", at("qps"), ranged("qps", write.count)),
      figureColumn("Build", at("build_seconds"), write.seconds, { low: true }), figureColumn("Index", at("index_bytes"), write.bytes, { low: true }),
      ...(group.columns.p99 ? [figureColumn("p99, µs", at("p99"), write.count, { low: true })] : []),
      figureColumn("Passes", at("passes"), write.count),
      { title: "Details", key: (row) => row, cell: (row) => make("button", { type: "button", class: "quiet show", "aria-label": `Details of ${group.algorithms[at("algorithm")(row)].name}, ${settingOf(group, row)}`, on: { click: () => { pick(row); byId("point").scrollIntoView({ block: "center" }); byId("point").focus({ preventScroll: true }); } } }, "show") },
    ],
  }));
}

function fillFailures() {
  const { failures, key } = view.group;
  if (!failures.length) {
    byId("failed").replaceChildren(make("p", { class: "intro" }, `All that was tried on ${key.dataset} was measured to its end.`));
    return;
  }
  const text = (title, name, extra = {}) => ({ title, key: (row) => row[name], cell: (row) => row[name] || missing, ...extra });
  byId("failed").replaceChildren(dataTable({
    caption: `${failures.length} that did not finish`, rows: failures,
    columns: [text("Algorithm", "algorithm"), text("Build", "build", { words: true }), text("Search", "search", { words: true }), text("Reason", "reason", { words: true }), text("Stage", "stage"), text("Detail", "detail", { words: true }), text("Date", "date")],
  }));
}

function startSections() {
  addPlot("plot-build", () => costPlot("build_seconds", "Build time in seconds", shortCount), (row) => pick(row));
  addPlot("plot-memory", () => costPlot("index_bytes", "Index size", write.bytes), (row) => pick(row));
  addPlot("plot-latency", latencyPlot, (row) => pick(row));
  addPlot("plot-recall", recallPlot, (row) => pick(row));
  const atTarget = () => {
    fillTargets();
    byId("latency-figure").hidden = view.group.key.mode === "batch";
    byId("latency-about").textContent = view.group.key.mode === "batch"
      ? "Each algorithm at its fastest setting that reaches a recall. All queries were asked in one call, so that a query has no latency of its own."
      : "Each algorithm at its fastest setting that reaches a recall: how long its slow queries take, and how good its bad answers are.";
    byId("costs").replaceChildren(costTable());
    byId("latencies").replaceChildren(latencyTable());
    redraw("plot-build", "plot-memory", "plot-latency", "plot-recall");
  };
  atTarget.byTarget = true;
  view.listeners.push(atTarget, fillEvery, fillFailures);
  byId("every").addEventListener("toggle", fillEvery);
  view.pointListeners.push(() => {
    byId("every-table").querySelectorAll("tr[data-row]").forEach((line) => line.classList.toggle("current", Number(line.dataset.row) === view.point));
  });
}
