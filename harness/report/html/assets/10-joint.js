// Quality of retrieval against speed: a line for each model's embeddings and index.

const dashes = ["solid", "8px,4px", "2px,3px", "8px,3px,2px,3px", "14px,4px", "5px,2px,1px,2px,1px,2px"];
const dashOf = (dataset) => dashes[dataset % dashes.length];

/** Draw a piece of line as those of a model's embeddings are drawn, and write its name. */
function dashed(data, dataset) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", "dash");
  svg.setAttribute("aria-hidden", "true");
  const line = document.createElementNS(space, "path");
  line.setAttribute("d", "M0 5H40");
  const dash = dashOf(dataset);
  if (dash !== "solid") line.setAttribute("stroke-dasharray", dash.replaceAll("px", ""));
  svg.append(line);
  return make("span", { class: "named" }, svg, make("span", {}, data.datasets[dataset].model));
}

function jointPlot(data) {
  const chosen = byId("joint-dataset").value;
  const curves = data.curves.filter((curve) => chosen === "all" || String(curve.dataset) === chosen);
  const traces = [...curves]
    .sort((first, second) => first.algorithm.scratch - second.algorithm.scratch)
    .map((curve) => {
      const { colour, symbol } = look(curve.algorithm);
      const line = { color: colour, width: 1.8, dash: dashOf(curve.dataset) };
      const title = `${curve.algorithm.name} on ${data.datasets[curve.dataset].model}`;
      return {
        name: inPlot(title), mode: "lines+markers", x: curve.x, y: curve.y, line, marker: { size: 8, color: colour, symbol },
        hoverinfo: "text", hovertext: curve.x.map((_, place) => hoverText([title, cut(curve.settings[place]), ...curve.said[place]])),
      };
    });
  const datasets = data.datasets.filter((_, number) => chosen === "all" || String(number) === chosen);
  const across = [...curves.flatMap((curve) => curve.x), ...datasets.map((one) => one.exact)];
  const low = across.reduce((least, value) => Math.min(least, value), Infinity);
  const high = across.reduce((most, value) => Math.max(most, value), -Infinity);
  const room = 0.06 * Math.max(high - low, 0.01);
  // Upright at the line of exact search; where two lie close the next one stands lower.
  const annotations = datasets.length < 2 ? [] : datasets.map((one, number) => ({ text: inPlot(cut(one.model, 28)), x: one.exact, xanchor: "right", y: 1 - 0.34 * (number % 3), yref: "paper", yanchor: "top", textangle: -90, showarrow: false, font: { size: 11, color: pageColour("soft") } }));
  const exact = datasets.map((one) => ({ type: "line", yref: "paper", y0: 0, y1: 1, x0: one.exact, x1: one.exact, line: { color: pageColour("soft"), width: 1, dash: "4px,3px" }, layer: "below" }));
  return {
    traces,
    layout: { xaxis: axis("nDCG@10", { range: [low - room, high + room] }), yaxis: logAxis("Queries per second", curves.flatMap((curve) => curve.y), shortCount), shapes: exact, annotations },
  };
}

function startJoint(data) {
  byId("joint-figure").hidden = false;
  const select = byId("joint-dataset");
  const options = data.datasets.map((one, number) => make("option", { value: number }, `${one.model} (${one.name})`));
  if (options.length > 1) options.unshift(make("option", { value: "all" }, "all"));
  select.replaceChildren(...options);
  byId("joint-dataset-field").hidden = data.datasets.length < 2;
  select.addEventListener("change", () => redraw("plot-joint"));
  const algorithms = new Map(data.curves.map((curve) => [curve.algorithm.name, curve.algorithm]));
  const models = data.datasets.length < 2 ? [] : data.datasets.map((_, number) => dashed(data, number));
  byId("joint-names").replaceChildren(...[...[...algorithms.values()].map((algorithm) => named(algorithm)), ...models].flatMap((name) => [name, "  "]));
  addPlot("plot-joint", () => jointPlot(data));
}
