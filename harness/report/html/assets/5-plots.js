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
  const config = { displayModeBar: false, responsive: true, doubleClick: "reset", showTips: false };
  Plotly.react(place, drawn.traces, { ...baseLayout(), ...drawn.layout }, config);
  if (plot.click && !plot.listens) {
    place.on("plotly_click", (event) => {
      const row = event.points[0] && event.points[0].customdata;
      if (known(row)) plot.click(row);
    });
    plot.listens = true;
  }
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
  const decades = Math.log10(high / low);
  const steps = decades < 1.8 ? [1, 2, 5] : decades < 3.6 ? [1, 3] : [1];
  const ticks = [];
  for (let power = Math.floor(Math.log10(low)); power <= Math.ceil(Math.log10(high)); power += 1) {
    for (const step of steps) {
      const value = step * 10 ** power;
      if (value >= low && value <= high) ticks.push(value);
    }
  }
  return axis(title, { type: "log", range: [Math.log10(low), Math.log10(high)], tickvals: ticks, ticktext: ticks.map(as), ...extra });
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
const toNines = (share) => -Math.log10(Math.max(1 - share + nearest, 1e-12));
const shareTicks = [0, 0.5, 0.8, 0.9, 0.95, 0.99, 0.999, 1];

/** Return an axis for a share from `lowest` to 1 and how a share is placed on it: linear, or stretched towards 1. */
function shareAxis(title, lowest, stretched, ticks = shareTicks) {
  const low = Math.min(Math.max(lowest, 0), 0.999);
  if (!stretched) {
    const room = Math.max(0.02 * (1 - low), 0.002);
    return { place: (share) => share, axis: axis(title, { range: [low - room, 1 + room] }) };
  }
  const from = toNines(low);
  const to = toNines(1);
  const shown = ticks.filter((tick) => tick >= low - 1e-9);
  const layout = axis(title, { range: [from - 0.04 * (to - from), to + 0.03 * (to - from)], tickvals: shown.map(toNines), ticktext: shown.map(String) });
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
