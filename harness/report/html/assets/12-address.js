// The page's address: its hash names a section, the results in view and the chosen setting, so that a link restores all.

const addressFields = ["dataset", "k", "mode", "threads", "machine"];
const address = { section: "", kept: false };

/** Return the hash for a section with what is in view: `#frontier?dataset=...&algorithm=...&build=...&search=...`. */
function hashOf(section) {
  const { group, point } = view;
  const fields = new URLSearchParams(addressFields.map((name) => [name, group.key[name]]));
  if (point !== null) {
    const { algorithm, build, search } = group.columns;
    fields.set("algorithm", group.algorithms[algorithm[point]].name);
    fields.set("build", group.builds[build[point]].label);
    fields.set("search", group.searches[search[point]].label);
  }
  return `#${section}?${fields}`;
}

function keepAddress() {
  if (!address.kept) return;
  try {
    window.history.replaceState(null, "", hashOf(address.section || "frontier"));
  } catch {
    // a page inside another may not change its address: then links are copied only
  }
}

/** Read the hash: its section, the group that it names, and its other fields; what isn't there is null. */
function readHash() {
  const [section, query] = window.location.hash.slice(1).split("?", 2);
  const fields = new URLSearchParams(query || "");
  const named = (key) => addressFields.every((name) => !fields.has(name) || fields.get(name) === String(key[name]));
  const group = query ? shared.groups.find((one) => named(one.key)) || null : null;
  return { section, fields, group };
}

/** Return the row of the group in view that the fields name, or null. */
function rowNamed(fields) {
  const { group } = view;
  const { algorithm, build, search } = group.columns;
  const found = rowsOf(group).find((row) => fields.get("algorithm") === group.algorithms[algorithm[row]].name
    && fields.get("build") === group.builds[build[row]].label && fields.get("search") === group.searches[search[row]].label);
  return found === undefined ? null : found;
}

function restore() {
  const { section, fields, group } = readHash();
  if (group && group.id !== view.group.id) show(group.id);
  const row = group ? rowNamed(fields) : null;
  if (row !== null) pick(row);
  const place = section ? byId(section) : null;
  if (place === null) return;
  address.section = section;
  place.scrollIntoView();
}

function linkTo(section) {
  return window.location.href.split("#")[0] + hashOf(section);
}

function startAddress() {
  const { group } = readHash();
  show(group ? group.id : shared.first);
  restore();
  address.kept = true;
  view.listeners.push(keepAddress);
  view.pointListeners.push(keepAddress);
  window.addEventListener("hashchange", () => {
    restore();
    keepAddress();
  });
}
