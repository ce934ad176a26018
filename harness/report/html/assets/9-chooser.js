// "Which index should I use?": of every dataset the fastest setting within what was asked for.

const limits = { memory: { column: "index_bytes", unit: 1024 * 1024 }, build: { column: "build_seconds", unit: 1 } };

// Recalls are spread like nines on their slider: 0 is a half, 100 is 1.
const recallAt = (place) => (place >= 100 ? 1 : 1 - 0.5 * 10 ** (-place / 27));
const placeOf = (recall) => (recall >= 0.9999 ? 100 : Math.min(Math.max(-27 * Math.log10((1 - recall) / 0.5), 0), 99));

function howOf(group) {
  const { k, mode, threads, machine } = group.key;
  return JSON.stringify([k, mode, threads, machine]);
}

function limitOf(name) {
  const text = byId(`choose-${name}`).value.trim();
  const value = Number(text);
  return text === "" || !(value >= 0) ? Infinity : value * limits[name].unit;
}

/** Pick from a group: the fastest row within all limits, those that it isn't faster than, or what stands in the way. */
function pickFrom(group, recall) {
  const { columns } = group;
  const within = (name, row) => limitOf(name) === Infinity || (columns[limits[name].column] && known(columns[limits[name].column][row]) && columns[limits[name].column][row] <= limitOf(name));
  const rows = rowsOf(group).filter((row) => known(columns.qps[row]) && columns.recall[row] >= recall - 1e-9);
  const fit = rows.filter((row) => within("memory", row) && within("build", row));
  const best = fastest(group, fit, () => true);
  if (best === null) {
    const top = columns.recall.reduce((most, value) => Math.max(most, value ?? 0), 0);
    if (!rows.length) return { group, best, why: `the best recall measured is ${write.share(top)}` };
    const least = (name) => rows.reduce((low, row) => Math.min(low, (columns[limits[name].column] || [])[row] ?? Infinity), Infinity);
    const short = [];
    if (!rows.some((row) => within("memory", row))) short.push(least("memory") < Infinity ? `the smallest index at this recall has ${write.bytes(least("memory"))}` : "no index states its size");
    if (!rows.some((row) => within("build", row))) short.push(`the quickest build at this recall takes ${write.seconds(least("build"))}`);
    return { group, best, why: short.join("; ") || "each setting at this recall is too large or too slow to build" };
  }
  const ranked = group.algorithms.map((_, number) => fastest(group, fit, (row) => columns.algorithm[row] === number)).filter((row) => row !== null);
  const reason = disturbedOf(group, ranked) || disturbedOf(group, [best]);
  const alike = ranked
    .filter((row) => columns.algorithm[row] !== columns.algorithm[best])
    .map((row) => [judge(group, best, row), row])
    .filter(([verdict]) => verdict !== "faster")
    .sort(([first, a], [second, b]) => (first === "unsure") - (second === "unsure") || columns.qps[b] - columns.qps[a]);
  return { group, best, alike, reason };
}

/** Say how many passes of some rows were disturbed where that leaves no winner: `winner` of winners.py. */
function disturbedOf(group, rows) {
  const sum = (name) => rows.reduce((total, row) => total + group.columns[name][row], 0);
  const [passes, disturbed] = [sum("passes"), sum("disturbed")];
  return disturbed > shared.most_disturbed * passes ? `${write.count(disturbed)} of ${write.count(passes)} passes were disturbed` : "";
}

function chosenTable(picked) {
  const at = (name) => (one) => (one.best === null ? null : figureOf(one.group, name, one.best));
  const blank = (one, cell) => (one.best === null ? missing : cell());
  return dataTable({
    caption: "The fastest that meets it", label: "The index to use, by dataset", rows: picked,
    columns: [
      { title: "Dataset", words: true, key: (one) => one.group.key.dataset, cell: (one) => one.group.key.dataset },
      { title: "Algorithm", key: (one) => (one.best === null ? "" : one.group.algorithms[at("algorithm")(one)].name), cell: (one) => algorithmCell(one) },
      { title: "Setting", words: true, key: (one) => blank(one, () => settingOf(one.group, one.best)), cell: (one) => blank(one, () => settingOf(one.group, one.best) || missing) },
      figureColumn("Recall", at("recall"), write.share),
      figureColumn("QPS", at("qps"), (value, one) => make("span", {}, write.count(value), rangeBelow(one))),
      figureColumn("Build", at("build_seconds"), write.seconds, { low: true }),
      figureColumn("Index", at("index_bytes"), write.bytes, { low: true }),
      { title: "Use it, measure it", key: (one) => one.group.key.dataset, cell: (one) => commandCell(one) },
    ],
  });
}

function rangeBelow(one) {
  if (one.best === null) return null;
  const range = write.range(figureOf(one.group, "qps_low", one.best), figureOf(one.group, "qps_high", one.best), write.count);
  return range ? make("span", { class: "soft" }, range) : null;
}

function algorithmCell(one) {
  if (one.best === null) return make("span", { class: "soft inline" }, `none: ${one.why}`);
  const algorithm = one.group.algorithms[one.group.columns.algorithm[one.best]];
  const others = one.alike.map(([verdict, row]) => make("span", { class: "tied" }, make("span", { class: verdict === "unsure" ? "tag unsure" : "tag" }, verdict === "unsure" ? "can't tell" : "tied"), " ", named(one.group.algorithms[one.group.columns.algorithm[row]])));
  const doubt = one.reason ? make("span", { class: "tied" }, make("span", { class: "tag unsure" }, "no winner"), ` ${one.reason}`) : null;
  return make("span", {}, named(algorithm), doubt, ...others);
}

function commandCell(one) {
  if (one.best === null) return missing;
  const text = commandOf(one.group, one.best);
  const use = copyButton(() => applicationOf(one.group, one.best), `Copy the lines that use it on ${one.group.key.dataset}`, "copy code");
  if (text === null) return make("span", { class: "line" }, use, make("span", { class: "soft inline" }, "no command line: a name holds control characters"));
  return make("span", { class: "line" }, use, copyButton(() => text, `Copy the command line for ${one.group.key.dataset}`), make("code", {}, text));
}

let announcing = 0;
let filled = false;

function choose() {
  const recall = Number(byId("choose-recall").value);
  const how = byId("choose-how").value;
  const picked = shared.groups.filter((group) => howOf(group) === how).map((group) => pickFrom(groupOf(group.id), Number.isFinite(recall) ? recall : 0));
  byId("chosen").replaceChildren(chosenTable(picked));
  // Said when the slider rests, not at each of its steps; and not when the page opens, where nobody asked.
  window.clearTimeout(announcing);
  if (!filled) {
    filled = true;
    return;
  }
  announcing = window.setTimeout(() => say(picked.map((one) => `${one.group.key.dataset}: ${one.best === null ? `none, ${one.why}` : `${one.group.algorithms[one.group.columns.algorithm[one.best]].name}, ${settingOf(one.group, one.best)}, ${write.count(one.group.columns.qps[one.best])} queries per second`}`).join(". ")), 600);
}

/** Couple a slider of a limit to its field: evenly in logs over what was measured, the right end being no limit. */
function coupleLimit(name) {
  const slider = byId(`choose-${name}-range`);
  const field = byId(`choose-${name}`);
  let ends = null;
  const measured = () => {
    if (ends) return ends;
    const { column, unit } = limits[name];
    const values = shared.groups.flatMap((group) => groupOf(group.id).columns[column] || []).filter((value) => value > 0).map((value) => value / unit);
    const low = values.reduce((least, value) => Math.min(least, value), Infinity);
    const high = values.reduce((most, value) => Math.max(most, value), 0);
    ends = high > 0 ? [Math.log(low), Math.log(Math.max(high, low * 1.01))] : [0, 1];
    return ends;
  };
  const describe = () => slider.setAttribute("aria-valuetext", field.value === "" ? "no limit" : field.value);
  slider.addEventListener("input", () => {
    const [low, high] = measured();
    field.value = slider.value === "100" ? "" : Number(Math.exp(low + (slider.value / 99) * (high - low)).toPrecision(3));
    describe();
    choose();
  });
  field.addEventListener("input", () => {
    const [low, high] = measured();
    const place = (Math.log(Number(field.value)) - low) / (high - low);
    slider.value = field.value === "" ? 100 : Math.min(Math.max(99 * place, 0), 99);
    describe();
    choose();
  });
  describe();
}

function startChooser() {
  const hows = new Map(shared.groups.map((group) => [howOf(group), `${group.key.asks}, ${askedOf(group.key)}${shared.machines > 1 ? `, ${group.machine} (${group.key.machine})` : ""}`]));
  const select = byId("choose-how");
  select.replaceChildren(...[...hows].map(([key, name]) => make("option", { value: key }, name)));
  byId("choose-how-field").hidden = hows.size < 2;
  select.addEventListener("change", choose);
  const slider = byId("choose-recall-range");
  const field = byId("choose-recall");
  const describe = () => slider.setAttribute("aria-valuetext", field.value);
  slider.value = placeOf(Number(field.value));
  slider.addEventListener("input", () => {
    const recall = recallAt(Number(slider.value));
    field.value = Number(recall.toFixed(recall > 0.99 ? 4 : 3));
    describe();
    choose();
  });
  field.addEventListener("input", () => { slider.value = placeOf(Number(field.value)); describe(); choose(); });
  describe();
  Object.keys(limits).forEach(coupleLimit);
  byId("chooser").addEventListener("submit", (event) => event.preventDefault());
  choose();
}
