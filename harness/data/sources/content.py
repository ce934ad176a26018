"""What a source yields before it is a dataset: vectors, split into train and test, perhaps with their neighbours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rich.console import Console

from harness.core.errors import DatasetError
from harness.core.file_notes import remember
from harness.data.checks import CHECKS, check_dataset, vector_findings
from harness.data.dataset import Dataset, write_dataset
from harness.data.metric import Metric
from harness.data.sources.console import say
from harness.data.vectors import Data

DEPTH = 100
"""True neighbours of a query where nobody says how many."""
SPLIT_SEED = 1
_MOST_QUERIES = 10_000


@dataclass(frozen=True, eq=False)
class Content:
    """Vectors to index and queries, as `Dataset` holds them, and where they come from.

    `neighbors` (q, depth) and `distances` (q, depth) are None where the true neighbours have yet to be computed.
    `tables` and `attributes` are kept beside them in the file; `remedy` says what to do where neighbours that came
    along turn out to be wrong.
    """

    metric: Metric
    train: Data
    test: Data
    dimension: int
    source: str
    licence: str = "unknown"
    neighbors: NDArray[np.integer[Any]] | None = None
    distances: NDArray[np.floating[Any]] | None = None
    tables: Mapping[str, Any] = field(default_factory=dict)
    attributes: Mapping[str, str] = field(default_factory=dict)
    remedy: str = ""


def default_queries(n: int) -> int:
    """Return how many of `n` rows become queries where nobody says: a tenth, at most 10,000."""
    return max(1, min(_MOST_QUERIES, n // 10))


def split_rows(n: int, n_queries: int, seed: int = SPLIT_SEED) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Draw which of `n` rows are queries; the rest is train. Returns (train, test) row numbers, ascending, disjoint."""
    if not 1 <= n_queries < n:
        raise DatasetError(f"can't set {n_queries} of {n} vectors aside as queries: both parts need at least one")
    is_query = np.zeros(n, np.bool_)
    is_query[np.random.default_rng(seed).choice(n, n_queries, replace=False)] = True
    return np.flatnonzero(~is_query), np.flatnonzero(is_query)


def write_content(path: Path, content: Content, *, depth: int, progress: bool, console: Console | None = None) -> None:
    """Write `content` as a dataset file, with true neighbours computed where they are missing.

    The neighbours are the `depth` nearest, or all where there are fewer. Vectors are checked before the long
    computation, all of it before the file is written; DatasetError says what is wrong.
    """
    findings = [
        finding
        for part, name in ((content.train, "train"), (content.test, "test"))
        for finding in vector_findings(content.metric, part, name)
    ]
    if findings:
        raise DatasetError("\n".join(f"{content.source}: {finding}" for finding in findings))
    neighbors, distances = content.neighbors, content.distances
    if console is not None:
        shape = f"{len(content.train):,} + {len(content.test):,} x {content.dimension}"
        todo = "" if content.neighbors is not None else "; computing its true neighbours"
        say(console, f"{content.source}: {shape}, {content.metric}{todo}")
    if neighbors is None or distances is None:
        from harness.data.truth import exact_neighbors

        neighbors, distances = exact_neighbors(
            content.metric,
            content.train,
            content.test,
            min(depth, len(content.train)),
            dimension=content.dimension,
            progress=progress,
        )
    check_dataset(
        Dataset(
            name=content.source,
            metric=content.metric,
            train=content.train,
            test=content.test,
            neighbors=neighbors.astype(np.int32),
            distances=distances,
            dimension=content.dimension,
            sha256="",
        ),
        remedy=content.remedy,
    )
    write_dataset(
        path,
        metric=content.metric,
        train=content.train,
        test=content.test,
        neighbors=neighbors,
        distances=distances,
        dimension=content.dimension,
        source=content.source,
        licence=content.licence,
        tables=content.tables,
        attributes=content.attributes,
    )
    remember(path, checks=CHECKS)
