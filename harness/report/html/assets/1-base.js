// What all parts share: the page's data, elements made of text alone, and figures written as in the tables of Markdown.

const parse = (id) => JSON.parse(document.getElementById(id).textContent);
const shared = parse("shared");
const groupNames = shared.groups.map((group) => group.id);
const groupCache = new Map();

/** Return the data of one group, parsed when it is first needed. */
function groupOf(id) {
  if (!groupCache.has(id)) groupCache.set(id, parse(id));
  return groupCache.get(id);
}

const byId = (id) => document.getElementById(id);

/** Make an element. Children that are strings become text: nothing that comes from a file is ever taken as markup. */
function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "on") for (const [event, act] of Object.entries(value)) element.addEventListener(event, act);
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const shapes = { o: "m-o", s: "m-s", D: "m-D", "^": "m-up", v: "m-v", P: "m-P", X: "m-X", "*": "m-star" };
const symbols = {
  o: "circle", s: "square", D: "diamond", "^": "triangle-up", v: "triangle-down", P: "cross", X: "x", "*": "star",
};

/** Draw an algorithm's mark and write its name. */
function named(algorithm) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("class", `mark ${shared.colours[algorithm.colour] || ""}`);
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(space, "use");
  use.setAttribute("href", `#${shapes[algorithm.marker]}`);
  svg.append(use);
  return make("span", { class: algorithm.scratch ? "named scratch" : "named" }, svg, make("span", {}, algorithm.name));
}

const missing = "–";
const known = (value) => value !== null && value !== undefined;

const write = {
  share: (value) => (known(value) ? value.toFixed(4) : missing),
  count(value) {
    if (!known(value)) return missing;
    if (value === shared.never) return "never";
    if (Math.abs(value) >= 99.95) return Math.round(value).toLocaleString("en");
    return String(Number(value.toPrecision(3)));
  },
  bytes(value) {
    if (!known(value)) return missing;
    const units = ["B", "KiB", "MiB", "GiB", "TiB"];
    let size = value;
    let unit = 0;
    while (Math.abs(size) >= 1023.5 && unit < units.length - 1) {
      size /= 1024;
      unit += 1;
    }
    return `${Math.abs(size) < 99.95 && unit ? Number(size.toPrecision(3)) : Math.round(size)} ${units[unit]}`;
  },
  seconds: (value) => (known(value) ? `${write.count(value)} s` : missing),
  micros: (value) => (known(value) ? `${write.count(value)} µs` : missing),
  range: (low, high, as) => (known(low) && known(high) ? `${as(low)} to ${as(high)}` : ""),
};

/** Write the parameters of a row: those of its build, then those of its search. */
function settingOf(group, row) {
  const { columns } = group;
  return [group.builds[columns.build[row]].label, group.searches[columns.search[row]].label].filter(Boolean).join(", ");
}

const figureOf = (group, name, row) => (group.columns[name] ? group.columns[name][row] : null);

/** Join the words that commands.py wrote and quoted: null where a name can't safely be pasted into a shell. */
function commandOf(group, row) {
  const { columns } = group;
  const parts = [group.algorithms[columns.algorithm[row]], group.builds[columns.build[row]], group.searches[columns.search[row]]];
  if (parts.some((part) => part.shell === null)) return null;
  const asked = columns.queries_asked[row];
  return [...parts.map((part) => part.shell).filter(Boolean), ...(asked ? [`--queries ${asked}`] : [])].join(" ");
}

function snippetOf(group, row) {
  const { columns } = group;
  const algorithm = group.algorithms[columns.algorithm[row]];
  const build = group.builds[columns.build[row]].python;
  const search = group.searches[columns.search[row]].python;
  const asked = columns.queries_asked[row] ? `    queries=${columns.queries_asked[row]},\n` : "";
  const grids = `{${algorithm.literal}: {'build': ${build}, 'search': ${search}}}`;
  return `import harness\n\nharness.run(\n${algorithm.python}${asked}    grids=${grids},\n)\n`;
}

/** Fill the lines for an application: `fill` of snippet.py. Each place is filled once, so that no value becomes code. */
function applicationOf(group, row) {
  const { columns } = group;
  const algorithm = group.algorithms[columns.algorithm[row]];
  const build = group.builds[columns.build[row]];
  const search = group.searches[columns.search[row]];
  const values = { ...build.literals, ...search.literals, ...algorithm.fixed, build: build.dict, search: search.dict };
  return algorithm.application.replace(/\$\{(\w+)(?:=([^}]*))?\}/g, (_, name, usual) => (Object.hasOwn(values, name) ? values[name] : usual || "None"));
}

/** Keep of the rows given those that no other beats across and in QPS, by ascending x: the skyline of frontier.py. */
function skyline(rows, x, qps) {
  const usable = rows.filter((row) => known(x[row]) && known(qps[row]) && qps[row] > 0);
  usable.sort((a, b) => x[b] - x[a] || qps[b] - qps[a] || a - b);
  let fastest = 0;
  const kept = usable.filter((row) => {
    const better = qps[row] > fastest;
    if (better) fastest = qps[row];
    return better;
  });
  return kept.reverse();
}

/** Return the fastest of the rows that pass, or null; of equally fast ones that with the highest recall. */
function fastest(group, rows, passes) {
  const { qps, recall } = group.columns;
  const before = (row, best) => best === null || qps[row] > qps[best] || (qps[row] === qps[best] && recall[row] > recall[best]);
  let best = null;
  for (const row of rows) if (known(qps[row]) && passes(row) && before(row, best)) best = row;
  return best;
}

/** Judge the fastest row beside another, as verdict.py does by ratio_range of statistics.py: faster, tied or unsure. */
function judge(group, best, other) {
  const { qps, qps_low: low, qps_high: high } = group.columns;
  if (!low || ![low[best], low[other], high[best], high[other]].every(known)) return "unsure";
  const apart = (larger, smaller) => Math.max(Math.log(larger / smaller), 0);
  const log = Math.log(qps[best] / qps[other]);
  const from = Math.exp(log - Math.hypot(apart(qps[best], low[best]), apart(high[other], qps[other])));
  const to = Math.exp(log + Math.hypot(apart(high[best], qps[best]), apart(qps[other], low[other])));
  const [least, most] = shared.tie;
  if (from >= least && to <= most) return "tied";
  return from > 1 ? "faster" : "unsure";
}

const rowsOf = (group) => group.columns.recall.map((_, row) => row);

function say(text) {
  byId("said").textContent = text;
}

/** Make a button that copies what `text` returns, and says so. */
function copyButton(text, label, name = "copy") {
  const button = make("button", { type: "button", class: "quiet copy", "aria-label": label }, name);
  button.addEventListener("click", async () => {
    const done = await copy(text());
    button.textContent = done ? "copied" : "select and copy";
    say(done ? "Copied" : "Copying is not allowed here: select the text and copy it");
    window.setTimeout(() => { button.textContent = name; }, 1500);
  });
  return button;
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // Where the page has no right to the clipboard, the older way may still do.
    const area = make("textarea", { class: "visually-hidden", "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const done = document.execCommand("copy");
    area.remove();
    return done;
  }
}

/** Make a group of radio buttons and call `change` with the value chosen. */
function segments(place, name, values, chosen, change) {
  place.replaceChildren(
    ...values.map(([value, text]) => {
      const input = make("input", { type: "radio", name, value, checked: value === chosen });
      input.addEventListener("change", () => change(value));
      return make("label", {}, input, make("span", {}, text));
    }),
  );
}
