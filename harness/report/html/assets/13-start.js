// Everything that is written above, put to work.

startTheme();
startPlots();
document.querySelectorAll("table[data-sortable]").forEach(enhance);
document.querySelectorAll("#summary table").forEach(nameCells);
if (shared.groups.length) {
  byId("choose").hidden = false;
  byId("explore").hidden = false;
  startChooser();
  startFrontier();
  startPoint();
  startSections();
  document.querySelectorAll("a[data-group]").forEach((link) => link.addEventListener("click", () => show(link.dataset.group)));
}
if (byId("joint-curves")) startJoint(parse("joint-curves"));
if (byId("training-curves")) startTraining(parse("training-curves"));
if (shared.groups.length) startAddress(); // last: the section of the address may be any
