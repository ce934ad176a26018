// The frontier of recall and speed: its plot, its controls, and the table of QPS at three recalls.

const acrossChoices = ["recall", "recall_worst5", "eps0.01", "eps0.1", "recall_annb"];
const axes = { x: "recall", stretched: true, log: true, intervals: true, others: true };

function frontierPlot() {
  const { group } = view;
  const { columns } = group;
  const across = columns[axes.x] || columns.recall;
  const rows = rowsOf(group).filter((row) => known(across[row]) && columns.qps[row] > 0 && !view.hidden.has(columns.algorithm[row]));
  if (!rows.length) return view.hidden.size ? "No algorithm is chosen." : "No result has a recall and a speed.";
  const lowest = rows.reduce((least, row) => Math.min(least, across[row]), 1);
  const scale = shareAxis(shared.measures[axes.x].title.replace("Recall@k", group.key.recall), lowest, axes.stretched);
  const x = (row) => scale.place(across[row]);
  const traces = { band: [], others: [], lines: [] };
  const heights = [];
  group.algorithms.forEach((algorithm, number) => {
    const mine = rows.filter((row) => columns.algorithm[row] === number);
    if (!mine.length) return;
    const best = skyline(mine, across, columns.qps);
    const others = mine.filter((row) => !best.includes(row));
    heights.push(...best.map((row) => columns.qps[row]), ...(axes.others ? others.map((row) => columns.qps[row]) : []));
    if (axes.intervals) traces.band.push(...bandOf(algorithm, best, x));
    if (axes.others && others.length) traces.others.push(dotsOf(group, algorithm, others, x));
    traces.lines.push([algorithm.scratch, lineOf(group, algorithm, best, x)]);
  });
  // Those from scratch are drawn last, so that they lie on top, as in the pictures.
  traces.lines.sort(([first], [second]) => first - second);
  return {
    traces: [...traces.band, ...traces.others, ...traces.lines.map(([, trace]) => trace), ...chosenMark(rows, x)],
    layout: { xaxis: scale.axis, ...speedAxis(group, heights) },
  };
}

function lineOf(group, algorithm, rows, x) {
  const { columns } = group;
  const { colour, line, symbol } = look(algorithm);
  const trace = {
    name: inPlot(algorithm.name), mode: "lines+markers", x: rows.map(x), y: rows.map((row) => columns.qps[row]), line,
    customdata: rows, hoverinfo: "text", hovertext: rows.map((row) => hoverOf(group, row)),
    marker: { size: 8, color: colour, symbol: rows.map((row) => (columns.near_floor[row] ? `${symbol}-open` : symbol)), line: { width: 1.4, color: colour } },
  };
  if (axes.intervals && axes.x === "recall" && columns.qps_low) {
    const side = (name, sign, place, value) => rows.map((row) => (known(columns[name] && columns[name][row]) ? Math.max(sign * (place(columns[name][row]) - value(row)), 0) : 0));
    const scaleOf = (share) => (axes.stretched ? toNines(share) : share);
    const bar = { type: "data", symmetric: false, color: faded(colour, 0.45), thickness: 1, width: 0 };
    trace.error_y = { ...bar, array: side("qps_high", 1, (v) => v, (row) => columns.qps[row]), arrayminus: side("qps_low", -1, (v) => v, (row) => columns.qps[row]) };
    trace.error_x = { ...bar, array: side("recall_high", 1, scaleOf, x), arrayminus: side("recall_low", -1, scaleOf, x) };
  }
  return trace;
}

function dotsOf(group, algorithm, rows, x) {
  return {
    name: inPlot(algorithm.name), mode: "markers", x: rows.map(x), y: rows.map((row) => group.columns.qps[row]), customdata: rows,
    hoverinfo: "text", hovertext: rows.map((row) => hoverOf(group, row)),
    marker: { size: 4.5, color: colourOf(algorithm), opacity: 0.32, symbol: symbols[algorithm.marker], line: { width: 0 } },
  };
}

function bandOf(algorithm, rows, x) {
  const { qps_low: low, qps_high: high } = view.group.columns;
  const mine = low ? rows.filter((row) => known(low[row]) && low[row] > 0 && known(high[row])) : [];
  if (mine.length < 2) return [];
  const back = [...mine].reverse();
  return [{
    mode: "lines", fill: "toself", fillcolor: faded(colourOf(algorithm), 0.13), line: { width: 0 }, hoverinfo: "skip",
    x: [...mine.map(x), ...back.map(x)], y: [...mine.map((row) => high[row]), ...back.map((row) => low[row])],
  }];
}

function chosenMark(rows, x) {
  if (!rows.includes(view.point)) return [];
  return [{
    mode: "markers", x: [x(view.point)], y: [view.group.columns.qps[view.point]], hoverinfo: "skip",
    marker: { size: 17, symbol: "circle-open", color: pageColour("ink"), line: { width: 1.6 } },
  }];
}

/** Return the axis of speed and the floor, where it isn't far above all points. */
function speedAxis(group, heights) {
  const { floor } = group;
  const top = Math.max(...heights);
  const drawn = known(floor) && floor / 2 < top * 4;
  byId("floor-note").textContent = known(floor) && !drawn ? `The floor, ${shortCount(floor)} QPS, lies above the plot.` : "";
  const values = drawn ? [...heights, floor] : heights;
  const yaxis = axes.log
    ? logAxis("Queries per second", values, shortCount)
    : axis("Queries per second", { range: [0, Math.max(...values) * 1.06], tickformat: "~s" });
  if (!drawn) return { yaxis };
  const span = { type: "rect", xref: "paper", x0: 0, x1: 1, y0: floor / 2, y1: floor, fillcolor: faded(pageColour("floor"), 0.11), line: { width: 0 }, layer: "below" };
  const edge = { type: "line", xref: "paper", x0: 0, x1: 1, y0: floor, y1: floor, line: { color: pageColour("floor"), width: 1.2 }, layer: "below" };
  const text = { text: narrow() ? `floor: ${shortCount(floor)} QPS` : `floor: a search that does nothing, ${shortCount(floor)} QPS`, xref: "paper", x: 0.005, xanchor: "left", yref: "y", y: axes.log ? Math.log10(floor) : floor, yanchor: "top", showarrow: false, font: { size: 11, color: pageColour("soft") } };
  return { yaxis, shapes: [span, edge], annotations: [text] };
}

function fillAlgorithms() {
  byId("algorithms").replaceChildren(
    ...view.group.algorithms.map((algorithm, number) => {
      const input = make("input", { type: "checkbox", value: number, checked: true });
      input.addEventListener("change", () => {
        if (input.checked) view.hidden.delete(number);
        else view.hidden.add(number);
        redraw("plot-frontier");
      });
      return make("label", { class: "chip" }, input, named(algorithm));
    }),
  );
}

function only(which) {
  const wanted = { all: () => true, none: () => false, scratch: (one) => one.scratch, library: (one) => !one.scratch }[which];
  byId("algorithms").querySelectorAll("input").forEach((input) => {
    const number = Number(input.value);
    input.checked = wanted(view.group.algorithms[number]);
    if (input.checked) view.hidden.delete(number);
    else view.hidden.add(number);
  });
  redraw("plot-frontier");
}

function targetsTable() {
  const { group } = view;
  const bounded = (at) => {
    if (at.relation === "not reached") return make("span", { class: "soft inline" }, "not reached");
    const figure = (name) => figureOf(group, name, at.row);
    const range = write.range(figure("qps_low"), figure("qps_high"), write.count);
    return make("span", {}, `${at.relation === ">=" ? "≥ " : ""}${write.count(figure("qps"))}`, figure("near_floor") ? make("span", { class: "soft inline" }, " near the floor") : null, range ? make("span", { class: "soft" }, range) : null);
  };
  return dataTable({
    caption: "Queries per second at a recall", note: `that of ${shared.rule}, with its 95% interval`,
    rows: group.targets,
    columns: [
      { title: "Algorithm", key: (row) => group.algorithms[row.algorithm].name, cell: (row) => named(group.algorithms[row.algorithm]) },
      ...shared.targets.map((target, place) => figureColumn(`Recall ${target}`, (row) => (row.at[place].row === null ? null : group.columns.qps[row.at[place].row]), (_, row) => bounded(row.at[place]))),
      figureColumn("Best recall", (row) => row.best, write.share),
      figureColumn("Settings", (row) => row.settings, write.count),
    ],
  });
}

function startFrontier() {
  byId("axis-x").addEventListener("change", (event) => { axes.x = event.target.value; redraw("plot-frontier"); });
  document.querySelectorAll("input[name=scale-x]").forEach((input) => input.addEventListener("change", () => { axes.stretched = input.value === "logit"; redraw("plot-frontier"); }));
  document.querySelectorAll("input[name=scale-y]").forEach((input) => input.addEventListener("change", () => { axes.log = input.value === "log"; redraw("plot-frontier"); }));
  for (const [id, name] of [["show-intervals", "intervals"], ["show-others", "others"]]) {
    byId(id).addEventListener("change", (event) => { axes[name] = event.target.checked; redraw("plot-frontier"); });
  }
  document.querySelectorAll("[data-only]").forEach((button) => button.addEventListener("click", () => only(button.dataset.only)));
  addPlot("plot-frontier", frontierPlot, (row) => pick(row));
  view.pointListeners.push(() => redraw("plot-frontier"));
  view.listeners.push(() => {
    const { group } = view;
    const choices = acrossChoices.filter((name) => group.columns[name]);
    if (!choices.includes(axes.x)) axes.x = "recall";
    byId("axis-x").replaceChildren(...choices.map((name) => make("option", { value: name }, shared.measures[name].title.replace("Recall@k", group.key.recall))));
    byId("axis-x").value = axes.x;
    const shape = group.rows ? `${group.rows.toLocaleString("en")} × ${group.dimension.toLocaleString("en")}, ` : "";
    byId("frontier-about").textContent = `${group.key.dataset}: ${shape}${group.metric}, ${askedOf(group.key)}, on ${group.machine}. Up and to the right is better.`;
    byId("caveats").hidden = !group.caveats.length;
    byId("caveat-count").textContent = `${group.caveats.length} note${group.caveats.length === 1 ? "" : "s"}`;
    byId("caveat-list").replaceChildren(...group.caveats.map((text) => make("li", {}, text)));
    fillAlgorithms();
    byId("targets").replaceChildren(targetsTable());
    redraw("plot-frontier");
  });
}
