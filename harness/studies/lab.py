"""What a study works with: the algorithms and data that are there, exact neighbours, and a stopwatch.

Everything runs in this process, one thread, one query a call. `annbench run` compares indexes with more care (a process
each, pinned cores); a study wants curves over many small builds, and its sides take turns to bear the same neighbours.
"""

from __future__ import annotations

import contextlib
import gc
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DatasetError
from harness.data.dataset import dataset_path, open_dataset, read_header
from harness.data.metric import Metric, neighbour_distances
from harness.data.sources.named import absence_of
from harness.data.sources.present import check_once
from harness.data.sources.synthetic import PREFIX, generate, parse
from harness.data.truth import exact_neighbors
from harness.engines.contract import Algorithm, Neighbors, Search, Vectors
from harness.engines.registry import Entry, Registry
from harness.measure.timing import MOST_ROUNDS
from harness.workloads.calls import call_once

_SAMPLE = 256  # rows that `compile` may have, by the contract
_FEWEST_QUERIES = 10
_SLACK = 1e-6  # the relative slack of `recall` in harness.analyse: distances in float64 differ by rounding only


@dataclass(frozen=True, eq=False)
class Sample:
    """Rows to index, (n, dim), and queries, (q, dim); float32, read-only, C-contiguous."""

    name: str
    metric: Metric
    train: Vectors
    queries: Vectors


@dataclass(frozen=True)
class Lab:
    """The algorithms and datasets, among those that a study asked for, that can be used; and why the others can't."""

    entries: Mapping[str, Entry]
    datasets: tuple[str, ...]
    data: Path
    missing: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, registry: Registry, data: Path, algorithms: Sequence[str], datasets: Sequence[str]) -> Lab:
        """Look for the algorithms in `registry` and for the datasets in the folder `data`; synthetic ones are there."""
        missing = {name: _why_no_algorithm(registry, name) for name in algorithms}
        missing |= {name: _why_no_dataset(data, name) for name in datasets}
        missing = {name: why for name, why in missing.items() if why}
        return cls(
            entries={name: registry[name] for name in algorithms if name not in missing},
            datasets=tuple(name for name in datasets if name not in missing),
            data=data,
            missing=missing,
        )

    def build(self, name: str, metric: Metric, train: Vectors, *, warm: bool = True, **build_params: Any) -> Algorithm:
        """Compile and fit an index on one thread; where it isn't `warm`, its kernels compile at their first calls."""
        index = self.entries[name].load()(metric, **build_params)
        if warm:
            index.compile(train[:_SAMPLE])
        index.fit(train, threads=1)
        return index

    def metric(self, dataset: str) -> Metric:
        """Return the metric of a dataset, without reading its vectors."""
        return parse(dataset).metric if dataset.startswith(PREFIX) else read_header(self.data, dataset).metric

    def rows(self, dataset: str) -> int:
        """Return how many rows a dataset has, without reading them."""
        return parse(dataset).n if dataset.startswith(PREFIX) else read_header(self.data, dataset).n

    def sample(self, dataset: str, *, rows: int | None = None, queries: int | None = None) -> Sample:
        """Return the first `rows` and `queries` of a dataset, or all where there are fewer."""
        metric, train, test = _vectors(self.data, dataset)
        return Sample(dataset, metric, train[:rows], test[:queries])

    def identity(self) -> dict[str, Any]:
        """Return what the measured rows depend on: sources and versions of the algorithms, hashes of the data."""
        return {
            "algorithms": {name: {"source": e.source_hash(), **e.versions()} for name, e in self.entries.items()},
            "datasets": {
                name: name if name.startswith(PREFIX) else read_header(self.data, name).sha256 for name in self.datasets
            },
        }


def short_name(dataset: str) -> str:
    """Name a dataset in few letters: `fashion-mnist`, `glove6b`, `uniform in 4-d`."""
    if dataset.startswith(PREFIX):
        recipe = parse(dataset)
        return f"{recipe.kind} in {recipe.dimension}-d"
    return re.split(r"-\d", dataset, maxsplit=1)[0]


def _why_no_algorithm(registry: Registry, name: str) -> str:
    return registry[name].why_not() if name in registry else "there is no algorithm of this name"


def _why_no_dataset(data: Path, name: str) -> str:
    if name.startswith(PREFIX) or dataset_path(data, name).exists():
        return ""
    return str(absence_of(name, data))


@lru_cache(maxsize=1)  # steps over one dataset follow each other
def _vectors(data: Path, name: str) -> tuple[Metric, Vectors, Vectors]:
    if not name.startswith(PREFIX):
        check_once(dataset_path(data, name))
    found: Any = generate(parse(name)) if name.startswith(PREFIX) else open_dataset(data, name)
    if not found.metric.is_dense:
        raise DatasetError(f"{name}: studies are about vectors, and {found.metric} data is none")
    for part in (found.train, found.test):
        part.flags.writeable = False
    return found.metric, found.train, found.test


# --- truth -----------------------------------------------------------------------------------------------------------


def true_neighbours(sample: Sample, k: int) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Find the k nearest rows of each query: ids and distances (q, min(k, n)), ascending.

    Distances are recomputed as `recall` does it: angles between unit vectors of float32 have too few digits where they
    are small.
    """
    ids, _ = exact_neighbors(sample.metric, sample.train, sample.queries, k, threads=1, progress=False)
    distances = neighbour_distances(sample.metric, sample.queries, sample.train, ids)
    order = np.argsort(distances, axis=1, kind="stable")
    return np.take_along_axis(ids, order, axis=1), np.take_along_axis(distances, order, axis=1)


def recall(sample: Sample, found: Neighbors, true_distances: NDArray[np.float64]) -> float:
    """Return the mean of `query_recall`."""
    return float(query_recall(sample, found, true_distances).mean())


def query_recall(sample: Sample, found: Neighbors, true_distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of each query's k neighbours that are found, (q,): ids no farther than the true k-th, over k.

    `found` (q, any), `true_distances` (q, k). Ties count, padding is a miss.
    """
    distances = neighbour_distances(sample.metric, sample.queries, sample.train, found)
    k = true_distances.shape[1]
    kth = true_distances[:, -1:]
    within = distances <= kth + np.maximum(_SLACK * np.abs(kth), _SLACK * _SLACK)
    shares: NDArray[np.float64] = within.sum(axis=1).clip(max=k) / k
    return shares


def ask(search: Search, queries: Vectors, k: int) -> list[Any]:
    """Ask the queries one by one and return the answers as the plug-in gave them."""
    return [search(queries[i : i + 1], k) for i in range(len(queries))]


# --- time ------------------------------------------------------------------------------------------------------------


def interleaved(
    searches: Mapping[str, Search], queries: Vectors, k: int, *, rounds: int, seconds: float
) -> dict[str, NDArray[np.float64]]:
    """Time several searches in turns; return the mean seconds of a query for each side and round, (rounds,).

    A side's turn lasts about `seconds`: it asks as many of the first queries as it can answer in that time, ten at
    least, and all of them several times over where it is quick. How many is found by a warm-up that isn't counted. The
    side that begins changes from round to round.
    """
    turns = {name: _turn(search, queries, k, seconds) for name, search in searches.items()}
    names = list(searches)
    out = {name: np.empty(rounds) for name in names}
    with _without_collection():
        for number in range(rounds):
            for name in names[number % len(names) :] + names[: number % len(names)]:
                out[name][number] = _mean_seconds(searches[name], queries, k, turns[name])
    return out


class _Turn(NamedTuple):
    """How many of the first queries are asked, and how often."""

    queries: int
    times: int


def _turn(search: Search, queries: Vectors, k: int, seconds: float) -> _Turn:
    least = min(_FEWEST_QUERIES, len(queries))
    _mean_seconds(search, queries, k, _Turn(least, 1))  # caches and lazy set-up
    affordable = int(seconds / max(_mean_seconds(search, queries, k, _Turn(least, 1)), 1e-9))
    return _Turn(
        int(np.clip(affordable, least, len(queries))), int(np.clip(affordable // len(queries), 1, MOST_ROUNDS))
    )


def _mean_seconds(search: Search, queries: Vectors, k: int, turn: _Turn) -> float:
    latencies = np.zeros((turn.times, turn.queries), np.int64)
    answers: list[Any] = [None] * turn.queries
    for row in latencies:
        call_once(search, queries, k, "single", row, answers)
    return float(latencies.mean()) * 1e-9


@contextlib.contextmanager
def _without_collection() -> Iterator[None]:
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()
