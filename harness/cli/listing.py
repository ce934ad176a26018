"""`annbench list`: what there is to measure, on what, and with which measures."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from harness.cli.options import AnnBenchmarks, Data, Plugins, registry_with


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
) -> None:
    """List algorithms (installed or not, and why not), datasets, suites or measures.

    Example: annbench list datasets
    """
    from rich.console import Console
    from rich.table import Table

    makers = {
        Subject.ALGORITHMS: lambda: _algorithms(plugin, ann_benchmarks),
        Subject.DATASETS: lambda: _datasets(data),
        Subject.SUITES: _suites,
        Subject.MEASURES: _measures,
    }
    columns, rows = makers[subject]()
    console = Console()
    if not console.is_terminal:
        # Piped output is for grep and cut: nothing wrapped, nothing cut off.
        console = Console(width=400, no_color=True)
    table = Table(*columns, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*(cell if isinstance(cell, str) else str(cell) for cell in row))
    console.print(table)


Listing = tuple[tuple[str, ...], list[tuple[Any, ...]]]


def _algorithms(plugins: list[Path] | None, ann_benchmarks: list[Path] | None) -> Listing:
    from rich.markup import escape

    rows = []
    for entry in registry_with(plugins, ann_benchmarks).values():
        config = entry.config
        status = escape(entry.why_not()) or "installed"
        versions = " ".join(f"{name} {version}" for name, version in entry.versions().items() if version != "missing")
        rows.append((entry.name, config.origin, " ".join(config.metrics), status, escape(versions), config.about))
    return ("algorithm", "origin", "metrics", "status", "versions", "about"), rows


def _datasets(folder: Any) -> Listing:
    from harness.dataset import dataset_path
    from harness.folders import data_folder
    from harness.sources.catalogue import load_catalogue
    from harness.sources.texts.catalogue import load_texts

    place = data_folder(folder)
    rows = []
    for name, entry in load_catalogue().items():
        here = "here" if dataset_path(place, name).exists() else ""
        shape = " x ".join("?" if part is None else f"{part:,}" for part in (entry.shape.train, entry.shape.dimension))
        rows.append((name, str(entry.metric), shape, here, entry.about))
    known = {row[0] for row in rows}
    for name, text in load_texts().items():
        rows.append((name, "", text.kind, "here" if (place / name).is_dir() else "", text.about))
    rows += [(path.stem, "", "", "here", "your own") for path in sorted(place.glob("*.hdf5")) if path.stem not in known]
    return ("dataset", "metric", "n x dim, or kind", "", "about"), rows


def _suites() -> Listing:
    from harness.plan.suites import load_suites

    rows = [
        (name, s.group, s.k, s.queries or "all", s.passes, " ".join(s.algorithms), " ".join(s.datasets), s.about)
        for name, s in load_suites().items()
    ]
    return ("suite", "group", "k", "queries", "passes", "algorithms", "datasets", "about"), rows


def _measures() -> Listing:
    from harness.analyse.measures import MEASURES

    rows = [(m.name, m.unit, m.better or "", m.about) for m in MEASURES.values()]
    return ("measure", "unit", "better", "about"), rows
