// Training runs: the loss of each model against its steps, or the quality on dev on the way.

const training = { shown: "loss" };
const trainingTitles = { loss: "Loss, mean since the point before", dev: "nDCG@10 on dev" };

function trainingPlot(data) {
  const models = data.algorithms.filter((model) => model[training.shown].length);
  if (!models.length) return "No run was judged on dev.";
  const traces = models.map((model) => {
    const points = model[training.shown];
    const colour = colourOf(model);
    return {
      name: inPlot(model.name), mode: training.shown === "dev" || points.length < 2 ? "lines+markers" : "lines",
      x: points.map(([step]) => step), y: points.map(([, value]) => value),
      line: { color: colour, width: 1.6 }, marker: { size: 7, color: colour, symbol: symbols[model.marker] },
      hoverinfo: "text", hovertext: points.map(([step, value]) => hoverText([model.name, `step ${step.toLocaleString("en")}`, `${training.shown === "dev" ? "nDCG@10" : "loss"} ${value}`])),
    };
  });
  return { traces, layout: { xaxis: axis("Step", { rangemode: "tozero" }), yaxis: axis(trainingTitles[training.shown]) } };
}

function startTraining(data) {
  byId("training-figure").hidden = false;
  segments(byId("training-shown"), "training-shown", [["loss", "loss"], ["dev", "dev"]], training.shown, (value) => {
    training.shown = value;
    redraw("plot-training");
  });
  byId("training-names").replaceChildren(...data.algorithms.flatMap((model) => [named(model), "  "]));
  addPlot("plot-training", () => trainingPlot(data));
}
