"""Write the report of a store: pictures, tables, and `index.md` that shows them all."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.analyse.at_recall import RULE
from harness.analyse.caveats import caveats, medians_of
from harness.analyse.table import Group, groups, newest
from harness.analyse.targets import targets_table
from harness.analyse.winners import MEANING
from harness.core.atomic import write_text
from harness.core.errors import AnnbenchError
from harness.report import tables
from harness.report.cost import COST_TARGET, cost_recall_figure, cost_speed_figure
from harness.report.figure import FORMATS, machine_title, save
from harness.report.latency import LATENCY_TARGET, latency_figure
from harness.report.plots import speed_figure
from harness.report.style import drawing
from harness.store.spec import FIRST_WORKLOAD

if TYPE_CHECKING:
    import pandas as pd

INDEX_NAME = "index.md"
Listener = Callable[[str, dict[str, Any]], None]
_STEM_LIMIT = 80

_PICTURES = (
    ("recall-qps", "Recall against queries per second", speed_figure),
    (
        "recall-qps-logit",
        "The same, with recall stretched towards 1",
        lambda group: speed_figure(group, logit=True),
    ),
    ("build-time-recall", "Build time against recall", cost_recall_figure),
    ("index-size-recall", "Index size against recall", lambda group: cost_recall_figure(group, "index_bytes")),
    ("build-time-qps", f"Build time against speed at recall {COST_TARGET:g}", cost_speed_figure),
    (
        "index-size-qps",
        f"Index size against speed at recall {COST_TARGET:g}",
        lambda group: cost_speed_figure(group, "index_bytes"),
    ),
    ("latency", f"Latency at recall of at least {LATENCY_TARGET:g}", latency_figure),
)


def write_report(
    table: pd.DataFrame,
    folder: Path,
    *,
    dataset: str | None = None,
    formats: Sequence[str] = ("png", "svg"),
    listener: Listener | None = None,
) -> list[Path]:
    """Write pictures and tables of a tidy table into `folder`; return the files, `index.md` first.

    Results of different machines are never mixed: each gets a section. `dataset` says which one all rows are of, if
    one; `listener` is told of each group before it is drawn. Raises AnnbenchError where there is nothing to report, an
    unknown format is asked for, or a file can't be written.
    """
    for kind in formats:
        if kind not in FORMATS:
            raise AnnbenchError(f"pictures can't be written as {kind!r}; choose from {', '.join(FORMATS)}")
    check_some(table, dataset)
    latest = newest(table)
    parts = groups(latest)
    stems = _stems([part.key for part in parts])
    sections, paths = [], []
    try:
        for number, (part, stem) in enumerate(zip(parts, stems, strict=True)):
            if listener is not None:
                listener("group", {"name": stem, "number": number, "count": len(parts)})
            section, written = _write_group(part, folder, stem, formats)
            sections.append(section)
            paths += written
        index = folder / INDEX_NAME
        write_text(index, _index(sections, latest, len(table) - len(latest)))
    except OSError as refused:
        raise AnnbenchError(
            f"{folder}: the report could not be written ({refused.strerror or refused}); choose another folder or "
            "free some space"
        ) from None
    return [index, *paths]


def check_some(table: pd.DataFrame, dataset: str | None) -> None:
    """Raise AnnbenchError, which names the command that measures, where a table has no row."""
    if table.empty:
        what = f" of {dataset}" if dataset is not None else ""
        raise AnnbenchError(
            f"there are no results{what} to report; measure some first with: annbench run"
            + (f" --dataset {dataset}" if dataset is not None else "")
        )


def _stems(keys: Sequence[Any]) -> list[str]:
    """Name the files of each group: `digits-64-euclidean-k10-single`; the machine is named where there are several."""
    stems: list[str] = []
    for key in keys:
        alike = [other for other in keys if other[:-1] == key[:-1]]
        threads = f"-{key.threads}threads" if key.mode == "batch" or key.threads != 1 else ""
        machine = f"-{key.machine or 'unknown'}" if len(alike) > 1 else ""
        own = "" if key.workload == FIRST_WORKLOAD else f"-{key.workload}{'-' * bool(key.terms)}{key.terms}"
        wanted = _safe(f"{key.dataset[:_STEM_LIMIT]}{own}-k{key.k}-{key.mode}{threads}{machine[:20]}")
        stem, number = wanted, 2
        while stem.lower() in {known.lower() for known in stems}:
            stem, number = f"{wanted}-{number}", number + 1
        stems.append(stem)
    return stems


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]+", "-", name, flags=re.ASCII).strip(".-") or "unnamed"


def _write_group(group: Group, folder: Path, stem: str, formats: Sequence[str]) -> tuple[str, list[Path]]:
    """Write one group's files; return its section of the index and the files."""
    rows = group.rows
    paths: list[Path] = []
    pictures: list[str] = []
    with drawing():
        for name, caption, draw in _PICTURES if formats else ():
            figure = draw(group)
            if figure is None:
                continue
            written = save(figure, folder, f"{stem}-{name}", formats)
            paths += written
            pictures.append(_picture(caption, written))
    texts = {}
    if tables.has_results(rows):
        texts["targets.md"] = tables.targets_markdown(rows)
        texts["targets.csv"] = tables.to_csv(targets_table(rows))
        texts["settings.md"] = tables.settings_markdown(rows)
    texts["settings.csv"] = tables.to_csv(rows)
    failures = tables.failures_markdown(rows)
    if failures:
        texts["failures.md"] = failures
    for suffix, text in texts.items():
        paths.append(folder / f"{stem}-{suffix}")
        write_text(paths[-1], text)
    return _section(group, stem, pictures, texts), paths


def _picture(caption: str, written: Sequence[Path]) -> str:
    shown = next((path for path in written if path.suffix in {".png", ".svg"}), None)
    links = ", ".join(f"[{path.suffix[1:].upper()}]({path.name})" for path in written)
    return f"**{caption}** ({links})\n" + (f"\n![{caption}]({shown.name})\n" if shown else "")


def _section(group: Group, stem: str, pictures: Sequence[str], texts: dict[str, str]) -> str:
    key, rows = group
    mode = f"all queries in one call, {key.threads} threads" if key.mode == "batch" else "one query at a time"
    machine = tables.escape(machine_title(key, rows))
    code = tables.escape(key.machine, 20)
    where = f"{machine} ({code})" if code and code != machine else machine
    parts = [f"## {tables.escape(key.dataset)}, {key.asks}, {mode}, on {where}\n"]
    notes = caveats(rows)
    if notes:
        parts.append("Before you compare:\n\n" + "\n".join(f"- {tables.escape(note)}" for note in notes) + "\n")
    if "targets.md" in texts:
        parts.append("### Queries per second at a recall\n")
        parts.append(texts["targets.md"])
        parts.append(
            f"Quoted is {RULE}. In brackets: 95% intervals by a bootstrap over processes, passes and queries. `≥`: "
            "even the least thorough setting lies above that recall.\n"
        )
        parts.append(f"Fastest at a recall ({MEANING}):\n\n{tables.winners_markdown(rows)}")
    parts += pictures
    if "failures.md" in texts:
        parts.append("### What did not finish\n")
        parts.append(texts["failures.md"])
    links = ", ".join(f"[{suffix}]({stem}-{suffix})" for suffix in texts)
    parts.append(f"Files: {links}\n")
    return "\n".join(parts)


def _index(sections: Sequence[str], table: pd.DataFrame, superseded: int) -> str:
    head = f"# Benchmark results\n\nEvery figure is {medians_of(table)}; never the best of them.\n"
    if superseded:
        head += (
            f"\n{superseded:,} earlier measurements of the same settings, under other versions of a plug-in, a library "
            "or a dataset, are left out; the store still has them.\n"
        )
    return "\n".join([head, *sections])
