"""Exact nearest neighbours of a whole test set, in blocks that bound the memory whatever the size of the data."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from importlib.metadata import entry_points
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import DatasetError, PluginError
from harness.data.metric import Metric
from harness.data.vectors import Sets

ENGINE_GROUP = "annbench.exact"
"""The entry-point group under which a package announces the index that finds true neighbours."""

# A block of rows is held up to three times (as read, as float32, normalised), a block of queries twice: with the
# buffers of the search this stays well below the 1 GiB that `exact_neighbors` promises.
_ROW_BLOCK_BYTES = 192 << 20
_QUERY_BLOCK_BYTES = 64 << 20


class ExactNeighbors(ABC):
    """The ability to give exact neighbours together with their distances: what ground truth is made with."""

    @abstractmethod
    def nearest(self, queries: Any, k: int, *, threads: int = 1) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Find the k nearest rows of each query, (m, dim), under the metric that the index was made for.

        Returns ids (m, k) int64 and distances (m, k) float64, ascending, accurate to 1e-5 relative; -1 and inf where
        there are fewer than k rows. Hamming counts a share of the stored bits, padding included.
        """


def exact_neighbors(
    metric: Metric,
    train: Any,
    test: Any,
    k: int,
    *,
    threads: int | None = None,
    dimension: int | None = None,
    progress: bool = True,
) -> tuple[NDArray[np.int32], NDArray[np.float64]]:
    """Find the exact k nearest rows of `train` for each row of `test`.

    `train` (n, dim) and `test` (q, dim) may be memory-mapped and of any number type; packed uint8 under hamming, `Sets`
    under jaccard. Returns ids (q, k') int32 and distances (q, k') float64, ascending, k' = min(k, n); distances agree
    with float64 to 1e-5 relative. At most 1 GiB is used beyond inputs and result. `threads` defaults to the cores that
    this process may use; `dimension` is the number of bits where hamming data is padded.
    """
    n, q = len(train), len(test)
    if n == 0 or q == 0 or k < 1:
        raise DatasetError(f"ground truth needs vectors, queries and k >= 1; got {n}, {q} and k = {k}")
    k = min(k, n)
    threads = threads or _cores()
    engine_class = _engine()
    ids = np.full((q, k), -1, np.int32)
    distances = np.full((q, k), np.inf)
    row_step = _rows_within(train, _ROW_BLOCK_BYTES)
    query_step = _rows_within(test, _QUERY_BLOCK_BYTES)
    with _progress(progress, total=n * q) as advance:
        for first in range(0, n, row_step):
            engine = engine_class(metric)
            rows = _block(metric, train, first, row_step)
            engine.fit(rows, threads=threads)
            for start in range(0, q, query_step):
                part = slice(start, min(start + query_step, q))
                found, away = engine.nearest(
                    _block(metric, test, start, query_step), min(k, len(rows)), threads=threads
                )
                _merge(ids[part], distances[part], np.where(found >= 0, found + first, -1), away)
                advance(len(rows) * (part.stop - start))
    if metric is Metric.HAMMING and dimension is not None:
        distances *= 8.0 * test.shape[1] / dimension
    return ids, distances


def _engine() -> Any:
    """Import the class of the exact index; raise PluginError where no installed package announces one."""
    announced = list(entry_points(group=ENGINE_GROUP))
    if not announced:
        raise PluginError(
            f"true neighbours need an exact index, and no installed package announces one as {ENGINE_GROUP!r}: "
            "install annbench anew, with: pip install -e ."
        )
    found = announced[0].load()
    if not issubclass(found, ExactNeighbors):
        raise PluginError(f"{announced[0].value} can't give exact neighbours with distances")
    return found


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _rows_within(data: Any, limit: int) -> int:
    if isinstance(data, Sets):
        return max(1, len(data))
    return max(256, limit // (4 * int(data.shape[1])))


def _block(metric: Metric, data: Any, start: int, step: int) -> Any:
    part = data[start : start + step]
    if isinstance(part, Sets):
        return part
    return np.ascontiguousarray(part, dtype=np.uint8 if metric is Metric.HAMMING else np.float32)


def _merge(ids: Any, distances: Any, new_ids: Any, new_distances: Any) -> None:
    """Keep the k nearest of those known and those new, in place; of equals those with the lower ids."""
    k = ids.shape[1]
    both = np.concatenate([distances, new_distances], axis=1)
    both_ids = np.concatenate([ids, new_ids], axis=1)
    # Known ids are lower than new ones and come first, so a stable sort breaks ties by id.
    order = np.argsort(both, axis=1, kind="stable")[:, :k]
    distances[:] = np.take_along_axis(both, order, axis=1)
    ids[:] = np.take_along_axis(both_ids, order, axis=1)


class _progress:  # noqa: N801 - reads as a noun in a with statement
    """A progress bar over distance computations; silent where it is not wanted."""

    def __init__(self, wanted: bool, total: int) -> None:
        self._bar: Any = None
        if wanted:
            from rich.progress import Progress

            from harness.core.console import Lines

            self._bar = Progress(console=Lines(stderr=True), transient=True)
            self._task = self._bar.add_task("exact neighbours", total=total)

    def __enter__(self) -> Any:
        if self._bar is None:
            return lambda _: None
        self._bar.start()
        return lambda amount: self._bar.advance(self._task, amount)

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()
