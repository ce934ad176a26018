// The setting that was chosen in a plot or a table: its figures, and the lines that measure it again.

function codeBlock(title, text, label) {
  if (text === null) return make("div", { class: "code" }, make("h4", {}, title), make("p", { class: "soft" }, "A name holds control characters, so that there is no line to paste."));
  return make("div", { class: "code" }, make("h4", {}, make("span", {}, title), copyButton(() => text, label)), make("pre", { tabindex: "0" }, make("code", {}, text)));
}

function pointPanel() {
  const { group, point: row } = view;
  if (row === null) return [make("p", { class: "soft" }, "Nothing was measured here.")];
  const at = (name) => figureOf(group, name, row);
  const ranged = (name, as) => {
    const range = write.range(at(`${name}_low`), at(`${name}_high`), as);
    return make("span", {}, as(at(name)), range ? make("span", { class: "soft" }, ` (${range})`) : null);
  };
  const passes = `${at("passes")}${at("disturbed") ? `, ${at("disturbed")} disturbed` : ""}`;
  const queries = at("queries") < at("queries_asked") ? `${write.count(at("queries"))} of ${write.count(at("queries_asked"))}` : write.count(at("queries"));
  const facts = [
    [group.key.recall, ranged("recall", write.share)],
    ["QPS", ranged("qps", write.count)],
    ["Latency p50, p99", known(at("p50")) ? `${write.count(at("p50"))}, ${write.count(at("p99"))} µs` : null],
    ["Worst 5% recall", known(at("recall_worst5")) ? write.share(at("recall_worst5")) : null],
    ["Build time", write.seconds(at("build_seconds"))],
    ["Index size", write.bytes(at("index_bytes"))],
    ["Distances a query", known(at("distance_computations")) ? write.count(at("distance_computations")) : null],
    ["Pays off after", known(at("break_even")) ? `${write.count(at("break_even"))}${at("break_even") === shared.never ? "" : " queries"}` : null],
    ["Passes", passes],
    ["Queries", queries],
    ["Measured", at("date")],
  ].filter(([, value]) => known(value));
  return [
    make("h3", {}, named(group.algorithms[group.columns.algorithm[row]]), copyButton(() => linkTo("frontier"), "Copy a link to this setting", "copy link")),
    make("p", { class: "setting" }, settingOf(group, row) || "no parameters"),
    at("near_floor") ? make("p", { class: "note" }, "Within twice of the floor: the harness is measured as much as the index.") : null,
    make("dl", {}, ...facts.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, value)])),
    codeBlock("In your application", applicationOf(group, row), "Copy the lines for your application"),
    codeBlock("Measure it again", commandOf(group, row), "Copy the command line"),
    codeBlock("Measure it again in Python", snippetOf(group, row), "Copy the Python lines"),
  ].filter(Boolean);
}

function startPoint() {
  const fill = () => byId("point").replaceChildren(...pointPanel());
  view.listeners.push(fill);
  view.pointListeners.push(() => {
    fill();
    if (view.point !== null) say(`${view.group.algorithms[view.group.columns.algorithm[view.point]].name}, ${settingOf(view.group, view.point)}`);
  });
}
