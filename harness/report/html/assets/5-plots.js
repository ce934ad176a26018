// Plots: drawn when they come into view, in the colours of the theme, and again when what they show has changed.

/** Escape a text for plotly, which takes some markup in texts for what it means. */
const inPlot = (text) => String(text).replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");

const plots = new Map();
const inSight = new Set();
const watcher = new IntersectionObserver((entries) => {
  for (const entry of entries) {
    if (entry.isIntersecting) inSight.add(entry.target.id);
    else inSight.delete(entry.target.id);
  }
  drawDue();
}, { rootMargin: "300px" });

/** Say how a plot is drawn: `draw()` returns traces and layout, or a sentence where there is nothing to draw. */
function addPlot(id, draw, click) {
  plots.set(id, { draw, click, due: true });
  watcher.observe(byId(id));
}

/** Have plots drawn again: at once those in sight, the others when they come into it. */
function redraw(...ids) {
  for (const id of ids.length ? ids : plots.keys()) plots.get(id).due = true;
  drawDue();
}

function drawDue(all = false) {
  for (const [id, plot] of plots) if (plot.due && (all || inSight.has(id))) drawPlot(id, plot);
}

function drawPlot(id, plot) {
  plot.due = false;
  const place = byId(id);
  const drawn = plot.draw();
  place.classList.toggle("empty", typeof drawn === "string");
  if (typeof drawn === "string") {
    Plotly.purge(place);
    place.replaceChildren(drawn);
    return;
  }
  if (!place.classList.contains("js-plotly-plot")) place.replaceChildren();
  plot.ticks = {};
  for (const name of ["xaxis", "yaxis"]) {
    const { ticksOf, ...layout } = drawn.layout[name];
    plot.ticks[name] = ticksOf;
    drawn.layout[name] = ticksOf ? { ...layout, ...ticked(ticksOf, layout.range, name) } : layout;
  }
  const config = { displayModeBar: false, responsive: true, doubleClick: "reset", showTips: false };
  Plotly.react(place, drawn.traces, { ...baseLayout(), ...drawn.layout }, config);
  if (plot.listens) return;
  plot.listens = true;
  if (plot.click) {
    place.on("plotly_click", (event) => {
      const row = event.points[0] && event.points[0].customdata;
      if (known(row)) plot.click(row);
    });
  }
  place.on("plotly_relayout", (event) => {
    if (Object.keys(event).some((key) => /^[xy]axis\.(range|autorange)/.test(key))) retick(place, plot);
  });
}

function ticked(ticksOf, range, name) {
  const [from, to] = [...range].sort((first, second) => first - second);
  const gap = name === "xaxis" ? (narrow() ? 0.13 : 0.045) * (to - from) : 0;
  let last = Infinity;
  // From the right, where a stretched axis has its room: a text that would run into the next one is left out.
  const ticks = ticksOf(from, to).reverse().filter(([place]) => {
    const room = last - place >= gap;
    if (room) last = place;
    return room;
  }).reverse();
  return { tickvals: ticks.map(([value]) => value), ticktext: ticks.map(([, text]) => text) };
}

/** Give the axes ticks for the part of them that is in view: after a zoom those of the whole would be too few. */
function retick(place, plot) {
  const change = {};
  for (const [name, ticksOf] of Object.entries(plot.ticks)) {
    if (!ticksOf) continue;
    const { tickvals, ticktext } = ticked(ticksOf, place._fullLayout[name].range, name);
    change[`${name}.tickvals`] = tickvals;
    change[`${name}.ticktext`] = ticktext;
  }
  if (Object.keys(change).length) Plotly.relayout(place, change);
}

const leastTicks = 3;

/** Return evenly spaced round numbers from low to high, about five. */
function evenTicks(low, high) {
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 5, 10].find((factor) => factor * power >= rough);
  const ticks = [];
  for (let place = Math.ceil(low / step); place * step <= high * (1 + 1e-12); place += 1) ticks.push(Number((place * step).toPrecision(12)));
  return ticks;
}

/** Pair ticks with their texts, written with more digits where `as` would write two of them alike. */
function tickTexts(values, as, place = (value) => value) {
  const texts = values.map(as);
  const alike = new Set(texts).size < texts.length;
  return values.map((value, number) => [place(value), alike ? value.toLocaleString("en", { maximumSignificantDigits: 6 }) : texts[number]]);
}

/** Return a colour of the page as the theme has it. */
function pageColour(name) {
  const [light, night] = { ink: ["#1b1f27", "#e7eaf0"], soft: ["#5a6270", "#a3acbb"], grid: ["#e9ecf0", "#262b34"], card: ["#ffffff", "#14171c"], floor: ["#8d949e", "#8d949e"] }[name];
  return dark() ? night : light;
}

const colourOf = (algorithm) => (dark() ? algorithm.dark : algorithm.colour);

function faded(colour, share) {
  const [red, green, blue] = [1, 3, 5].map((start) => Number.parseInt(colour.slice(start, start + 2), 16));
  return `rgba(${red},${green},${blue},${share})`;
}

const narrow = () => window.matchMedia("(max-width: 40rem)").matches;

function baseLayout() {
  return {
    autosize: true,
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    margin: { l: narrow() ? 46 : 58, r: 22, t: 8, b: 46 },
    font: { family: getComputedStyle(document.body).fontFamily, size: 12.5, color: pageColour("soft") },
    hoverlabel: { bgcolor: pageColour("card"), bordercolor: pageColour("soft"), align: "left", font: { size: 12.5, color: pageColour("ink") } },
    hovermode: "closest",
    hoverdistance: 14,
    showlegend: false,
    dragmode: narrow() ? false : "zoom",
    transition: { duration: 0 },
  };
}

function axis(title, extra = {}) {
  return {
    title: { text: inPlot(title), standoff: 8, font: { size: 12.5 } },
    gridcolor: pageColour("grid"),
    linecolor: pageColour("grid"),
    zeroline: false,
    ticks: "",
    tickangle: 0,
    automargin: true,
    ...extra,
  };
}

/** Return a logarithmic axis with ticks at 1, 2 and 5 where there is room for them. */
function logAxis(title, values, as, extra = {}) {
  const usable = values.filter((value) => known(value) && value > 0);
  const room = 1.25;
  const low = usable.reduce((least, value) => Math.min(least, value), Infinity) / room;
  const high = usable.reduce((most, value) => Math.max(most, value), 0) * room;
  if (!(high > 0)) return axis(title, extra);
  const ticksOf = (from, to) => tickTexts(logTicks(10 ** from, 10 ** to), as);
  return axis(title, { type: "log", range: [Math.log10(low), Math.log10(high)], ticksOf, ...extra });
}

function logTicks(low, high) {
  const decades = Math.log10(high / low);
  const fine = decades < 1.8 ? [1, 2, 5] : decades < 3.6 ? [1, 3] : [1];
  for (const steps of [fine, [1, 2, 3, 4, 5, 6, 7, 8, 9]]) {
    const ticks = [];
    for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
      for (const step of steps) {
        const value = step * 10 ** power;
        if (value >= low && value <= high) ticks.push(value);
      }
    }
    if (ticks.length >= leastTicks) return ticks;
  }
  return evenTicks(low, high);
}

/** Write a number for a tick: 500, 2k, 10M. */
function shortCount(value) {
  for (const [size, unit] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (value >= size * 0.9995) return `${Number((value / size).toPrecision(3))}${unit}`;
  }
  return String(Number(value.toPrecision(3)));
}

// Recall 1 stands where 1 - 1e-4 would be told apart from it, as in the pictures (figure.py).
const nearest = 1e-4;
const fromNines = (nines) => 1 + nearest - 10 ** -nines;
const toNines = (share) => -Math.log10(Math.max(1 - share + nearest, 1e-12));
const shareTicks = [0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1];

/** Return an axis for a share from `lowest` to 1 and how a share is placed on it: linear, or stretched towards 1. */
function shareAxis(title, lowest, stretched, ticks = shareTicks) {
  const low = Math.min(Math.max(lowest, 0), 0.99); // where all are 1 it still shows how far off .99 would be
  // No share is above 1, nor below 0, though the axis reaches a little further.
  const within = (from, to) => evenTicks(Math.max(from, 0), Math.min(to, 1));
  if (!stretched) {
    const room = 0.02 * (1 - low);
    return { place: (share) => share, axis: axis(title, { range: [low - room, 1 + room], ticksOf: (from, to) => tickTexts(within(from, to), String) }) };
  }
  const from = toNines(low);
  const to = toNines(1);
  const ticksOf = (left, right) => {
    const ends = [left, right].map(fromNines);
    const shown = ticks.filter((tick) => tick >= ends[0] - 1e-9 && tick <= ends[1] + 1e-9);
    return tickTexts(shown.length < leastTicks ? within(...ends) : shown, String, toNines);
  };
  const layout = axis(title, { range: [from - 0.04 * (to - from), to + 0.03 * (to - from)], ticksOf });
  return { place: toNines, axis: layout };
}

/** Return how an algorithm's line and marks look: from scratch solid and thick, a library dashed and thinner. */
function look(algorithm) {
  const colour = colourOf(algorithm);
  return {
    colour,
    line: { color: colour, width: algorithm.scratch ? 2.4 : 1.5, dash: algorithm.scratch ? "solid" : "6px,3px" },
    symbol: symbols[algorithm.marker],
  };
}

/** Say of a point what hovering shows: lines of text, the first of them in bold. */
function hoverText(lines) {
  const [first, ...others] = lines.filter(Boolean).map(inPlot);
  return [`<b>${first}</b>`, ...others].join("<br>");
}

function hoverOf(group, row) {
  const { columns } = group;
  const at = (name) => figureOf(group, name, row);
  const bounded = (name, as) => {
    const range = write.range(at(`${name}_low`), at(`${name}_high`), as);
    return as(at(name)) + (range ? ` (${range})` : "");
  };
  return hoverText([
    group.algorithms[columns.algorithm[row]].name,
    cut(settingOf(group, row)),
    `recall ${bounded("recall", write.share)}`,
    `${bounded("qps", write.count)} QPS`,
    `built in ${write.seconds(at("build_seconds"))}, index ${write.bytes(at("index_bytes"))}`,
    at("near_floor") ? "within twice of the floor" : "",
  ]);
}

const cut = (text, most = 60) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

function resize() {
  for (const id of plots.keys()) if (byId(id).classList.contains("js-plotly-plot")) Plotly.Plots.resize(byId(id));
}

function startPlots() {
  themeListeners.push(() => redraw());
  let width = narrow();
  window.addEventListener("resize", () => {
    if (narrow() !== width) {
      width = narrow();
      redraw();
    }
  });
  window.addEventListener("beforeprint", () => {
    printing = true;
    document.documentElement.classList.add("printing");
    for (const plot of plots.values()) plot.due = true;
    drawDue(true);
    resize();
  });
  window.addEventListener("afterprint", () => {
    printing = false;
    document.documentElement.classList.remove("printing");
    redraw();
    resize();
  });
}
