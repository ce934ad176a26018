// Everything that is written above, put to work.

startTheme();
startPlots();
document.querySelectorAll("table[data-sortable]").forEach(enhance);
if (shared.groups.length) {
  byId("choose").hidden = false;
  byId("explore").hidden = false;
  startChooser();
  startFrontier();
  startPoint();
  startSections();
  document.querySelectorAll("a[data-group]").forEach((link) => link.addEventListener("click", () => show(link.dataset.group)));
  show(shared.first);
}
if (byId("joint-curves")) startJoint(parse("joint-curves"));
