"""`annbench list`: what there is to measure, on what, and with which measures."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from harness.cli.options import AnnBenchmarks, Data, Plugins, registry_with
from harness.core.errors import ConfigError

if TYPE_CHECKING:
    from harness.core.console import Column

# Columns, rows, and lines to say beside them.
Listing = tuple["tuple[Column, ...]", list[tuple[Any, ...]], list[str]]


class Subject(StrEnum):
    """What can be listed."""

    ALGORITHMS = "algorithms"
    DATASETS = "datasets"
    SUITES = "suites"
    MEASURES = "measures"


def show(
    subject: Annotated[Subject, typer.Argument(help="What to list.")] = Subject.ALGORITHMS,
    data: Data = None,
    plugin: Plugins = None,
    ann_benchmarks: AnnBenchmarks = None,
    installed: Annotated[bool, typer.Option("--installed", help="Only algorithms that can be used here.")] = False,
) -> None:
    """List algorithms (installed or not, and why not), datasets, suites or measures.

    A terminal shows the columns that fit, and a pipe all of them.

    Example: annbench list --installed

    Example: annbench list datasets
    """
    from harness.core.console import print_table

    if installed and subject is not Subject.ALGORITHMS:
        raise ConfigError(f"--installed is about algorithms: leave it out, or list those instead of {subject}")
    makers = {
        Subject.ALGORITHMS: lambda: _algorithms(plugin, ann_benchmarks, installed=installed),
        Subject.DATASETS: lambda: _datasets(data),
        Subject.SUITES: _suites,
        Subject.MEASURES: _measures,
    }
    columns, rows, remedies = makers[subject]()
    print_table(columns, rows)
    for line in remedies:
        typer.echo(line, err=True)


def _algorithms(plugins: list[Path] | None, ann_benchmarks: list[Path] | None, *, installed: bool) -> Listing:
    from harness.core.console import Column

    rows = []
    remedies: dict[str, list[str]] = {}
    for entry in registry_with(plugins, ann_benchmarks).values():
        config = entry.config
        why = entry.why_not()
        if why and installed:
            continue
        absent = entry.missing()
        status = "installed" if not why else f"needs {' '.join(absent)}" if absent else "can't be used"
        if why:
            remedies.setdefault(why.partition("; ")[2] if absent else why, []).append(entry.name)
        versions = " ".join(f"{name} {version}" for name, version in entry.versions().items() if version != "missing")
        rows.append((entry.name, " ".join(config.metrics), status, config.origin, versions, config.about))
    columns = (
        *(Column("algorithm"), Column("metrics"), Column("status")),
        *(Column("origin"), Column("versions"), Column("about", prose=True)),
    )
    return columns, rows, [f"{', '.join(names)}: {remedy}" for remedy, names in remedies.items()]


def _datasets(folder: Any) -> Listing:
    from harness.core.console import Column
    from harness.core.folders import data_folder
    from harness.data.dataset import dataset_path
    from harness.data.sources.catalogue import load_catalogue
    from harness.data.sources.texts.catalogue import load_texts

    place = data_folder(folder)
    rows = []
    for name, entry in load_catalogue().items():
        here = "here" if dataset_path(place, name).exists() else ""
        shape = " x ".join("?" if part is None else f"{part:,}" for part in (entry.shape.train, entry.shape.dimension))
        rows.append((name, here, str(entry.metric), shape, entry.about))
    known = {row[0] for row in rows}
    for name, text in load_texts().items():
        rows.append((name, "here" if (place / name).is_dir() else "", "", text.kind, text.about))
    rows += [(path.stem, "here", "", "", "your own") for path in sorted(place.glob("*.hdf5")) if path.stem not in known]
    columns = (
        *(Column("dataset"), Column(""), Column("metric")),
        *(Column("n x dim, or kind"), Column("about", prose=True)),
    )
    return columns, rows, []


def _suites() -> Listing:
    from harness.core.console import Column
    from harness.plan.suites import load_suites

    rows = [
        (name, s.group, s.words, s.queries or "all", s.passes, s.about, " ".join(s.datasets), " ".join(s.algorithms))
        for name, s in load_suites().items()
    ]
    columns = (
        *(Column("suite"), Column("group"), Column("asks for"), Column("queries", right=True)),
        *(Column("passes", right=True), Column("about", prose=True), Column("datasets"), Column("algorithms")),
    )
    return columns, rows, []


def _measures() -> Listing:
    from harness.analyse.measures import MEASURES
    from harness.core.console import Column

    rows = [(m.name, m.unit, m.better or "", m.about) for m in MEASURES.values()]
    return (Column("measure"), Column("unit"), Column("better"), Column("about", prose=True)), rows, []
