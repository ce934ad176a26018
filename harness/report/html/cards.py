"""Dataset cards: what results say of each dataset and, where its file is here, how hard it is to search."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.analyse.dimension import levina_bickel, two_nn
from harness.analyse.table import MEASURED
from harness.core.atomic import reason
from harness.core.errors import DatasetError
from harness.data.dataset import dataset_path, read_header
from harness.data.metric import Metric, neighbour_distances
from harness.report.style import plain

if TYPE_CHECKING:
    import pandas as pd

_QUERIES = 1000
_ROWS = 2000
_DRAWN = 50  # rows that each query's distance to is averaged for the relative contrast
_TEXTS = ("source", "licence", "created_by")
_LONGEST = 200


@dataclass(frozen=True)
class DatasetCard:
    """A dataset's name, lines of (what, value), and a sentence where something isn't known."""

    name: str
    facts: tuple[tuple[str, str], ...]
    note: str = ""


class _File(NamedTuple):
    sha256: str
    facts: list[tuple[str, str]]


def dataset_cards(table: pd.DataFrame, data: Path | None) -> list[DatasetCard]:
    """Describe the datasets of a tidy table in order of their names, with what their files in `data` add."""
    return [_card(str(name), mine, data) for name, mine in table.groupby("dataset", sort=True)]


def _card(name: str, rows: pd.DataFrame, data: Path | None) -> DatasetCard:
    measured = rows[rows["status"] == MEASURED]
    known = [
        ("Metric", next((text for text in rows["metric"] if text), "")),
        ("Rows", _most(measured, "train_rows")),
        ("Dimension", _most(measured, "dimension")),
        ("Queries asked", _most(measured, "queries_asked")),
    ]
    note, added = "", []
    if data is not None:
        # A name comes from a result file: it must not lead out of the folder.
        inside = name == Path(name).name and dataset_path(data, name).is_file()
        if not inside:
            note = "Its file is not in the folder of datasets, so that no more is known than results say."
        else:
            try:
                file = _read(data, name)
            except DatasetError as problem:
                note = plain(problem, _LONGEST)
            else:
                added = file.facts
                if file.sha256 not in set(rows["dataset_sha256"]):
                    note = "The file here is another version than the one that was measured."
    facts = [(what, plain(value, _LONGEST)) for what, value in (*known, *added) if value]
    return DatasetCard(plain(name, _LONGEST), tuple(facts), note)


def _most(rows: pd.DataFrame, column: str) -> str:
    most = int(rows[column].max()) if len(rows) else 0
    return f"{most:,}" if most else ""


def _read(data: Path, name: str) -> _File:
    """Read what a dataset's file says of itself, without its vectors but for a sample."""
    import h5py

    header = read_header(data, name)
    path = dataset_path(data, name)
    try:
        with h5py.File(path, "r") as file:
            facts = [
                (what.replace("_", " ").capitalize(), str(file.attrs[what])) for what in _TEXTS if what in file.attrs
            ]
            if header.metric in {Metric.EUCLIDEAN, Metric.ANGULAR}:
                facts += _geometry(file, header.metric)
    except (OSError, RuntimeError, LookupError, ValueError, TypeError) as problem:
        raise DatasetError(f"{path.name} can't be read ({reason(problem)})") from None
    facts.insert(0, ("Queries in the file", f"{header.queries:,}"))
    return _File(header.sha256, facts)


def _geometry(file: Any, metric: Metric) -> list[tuple[str, str]]:
    """Estimate from a sample how many dimensions the data fill, and how much nearer the nearest is than any row."""
    count = min(_QUERIES, len(file["test"]))
    nearest = _true(file["distances"][:count].astype(np.float64), metric)
    queries = np.ascontiguousarray(file["test"][:count], np.float32)
    rows = file["train"]
    sample = np.ascontiguousarray(rows[:: max(1, len(rows) // _ROWS)][:_ROWS], np.float32)
    ids = np.random.default_rng(0).integers(0, len(sample), (count, min(_DRAWN, len(sample))))
    typical = _true(neighbour_distances(metric, queries, sample, ids), metric)
    least = float(nearest[:, 0].mean())
    figures = (
        ("Local intrinsic dimension", levina_bickel(nearest)),
        ("Two-NN dimension", two_nn(nearest)),
        ("Relative contrast", float(typical.mean()) / least if least > 0 else math.nan),
    )
    return [(what, f"{value:.3g}") for what, value in figures if math.isfinite(value)]


def _true(distances: NDArray[np.float64], metric: Metric) -> NDArray[np.float64]:
    """Turn 1 - cos, which is no distance, into the chord between unit vectors."""
    return np.sqrt(2 * np.maximum(distances, 0)) if metric is Metric.ANGULAR else distances
