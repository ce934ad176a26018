// What is in view: one group of comparable results, chosen by dataset, k, how queries were asked, and machine.

const view = { group: null, hidden: new Set(), point: null, target: 0.95, listeners: [], pointListeners: [] };

const viewFields = [
  ["view-dataset", (key) => key.dataset, (key) => key.dataset],
  ["view-k", (key) => key.asks, (key) => key.asks],
  ["view-asked", (key) => `${key.mode} ${key.threads}`, askedOf],
  ["view-machine", (key) => key.machine, (key, group) => group.machine],
];

function askedOf(key) {
  if (key.mode !== "batch") return "one query at a time";
  return `all in one call, ${key.threads} thread${key.threads === 1 ? "" : "s"}`;
}

/** Show the group that has the field just chosen and as many of the other fields as one group has. */
function chooseView(changed) {
  const wanted = viewFields.map(([id]) => byId(id).value);
  const score = (group) =>
    viewFields.reduce((sum, [id, value], place) => sum + (value(group.key) === wanted[place]) * (id === changed ? 10 : 1), 0);
  show([...shared.groups].sort((first, second) => score(second) - score(first))[0].id);
}

function fillView() {
  for (const [id, value, text] of viewFields) {
    const options = new Map(shared.groups.map((group) => [value(group.key), text(group.key, group)]));
    const select = byId(id);
    select.replaceChildren(...[...options].map(([key, name]) => make("option", { value: key }, name)));
    select.value = value(view.group.key);
    select.closest(".field").hidden = options.size < 2 && id !== "view-dataset";
    select.onchange = () => chooseView(id);
  }
  const { key, machine } = view.group;
  document.querySelector(".view").dataset.shown = `${key.dataset}, ${key.asks}, ${askedOf(key)}, ${machine}`;
}

function show(id) {
  view.group = groupOf(id);
  view.hidden = new Set();
  const rows = rowsOf(view.group);
  const { recall } = view.group.columns;
  view.point = fastest(view.group, rows, (row) => recall[row] >= 0.95) ?? fastest(view.group, rows, () => true);
  fillView();
  view.listeners.forEach((listener) => listener());
}

/** Choose a point: its row in the group in view. */
function pick(row) {
  view.point = row;
  view.pointListeners.forEach((listener) => listener());
}

/** Choose the recall at which costs and latencies are compared. */
function setTarget(target) {
  view.target = target;
  fillTargets();
  view.listeners.filter((listener) => listener.byTarget).forEach((listener) => listener());
}

function fillTargets() {
  for (const id of ["at-cost", "at-latency"]) {
    // The group that has the focus keeps its buttons.
    const place = byId(id);
    if (place.childElementCount) {
      place.querySelectorAll("input").forEach((input) => { input.checked = Number(input.value) === view.target; });
    } else {
      segments(place, id, shared.targets.map((target) => [target, String(target)]), view.target, (value) => setTarget(value));
    }
  }
}

/** Return of each algorithm the fastest setting that reaches one of the shared targets: [algorithm, row] pairs. */
function chosenRows(group, target) {
  const { qps } = group.columns;
  const place = shared.targets.indexOf(target);
  return group.targets
    .map(({ algorithm, at }) => [group.algorithms[algorithm], at[place].row])
    .filter(([, row]) => row !== null)
    .sort(([, first], [, second]) => qps[second] - qps[first]);
}
