// Quality of retrieval against speed: a line for each model's embeddings and index.

function jointPlot(data) {
  const chosen = byId("joint-dataset").value;
  const curves = data.curves.filter((curve) => chosen === "all" || String(curve.dataset) === chosen);
  const traces = [...curves]
    .sort((first, second) => first.algorithm.scratch - second.algorithm.scratch)
    .map((curve) => {
      const { colour, line, symbol } = look(curve.algorithm);
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
  const exact = datasets.map((one) => ({ type: "line", yref: "paper", y0: 0, y1: 1, x0: one.exact, x1: one.exact, line: { color: pageColour("soft"), width: 1, dash: "4px,3px" }, layer: "below" }));
  return {
    traces,
    layout: { xaxis: axis("nDCG@10", { range: [low - room, high + room] }), yaxis: logAxis("Queries per second", curves.flatMap((curve) => curve.y), shortCount), shapes: exact },
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
  byId("joint-names").replaceChildren(...[...algorithms.values()].flatMap((algorithm) => [named(algorithm), "  "]));
  addPlot("plot-joint", () => jointPlot(data));
}
