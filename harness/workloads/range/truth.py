"""How many rows truly lie within a radius of each query: exact, in blocks, and kept beside the dataset.

An answer is judged by its recomputed distance, so that the count is all that is needed of the true set.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.atomic import write_text
from harness.core.errors import ConfigError
from harness.data.dataset import Dataset
from harness.data.metric import Metric, normalise, pair_distances

# Distances that are equal but for rounding count as equal, as in recall@k.
_SLACK = 1e-6
_LEAST = 1e-6
# A float32 product of rows may be off by so much of the product of their lengths: what lies nearer to the radius is
# computed again in float64.
_PRODUCT_ERROR = 2e-5
_ROWS = 16_384
_QUERIES = 1024


def limit_of(radius: float) -> float:
    """Return the distance up to which a returned row counts as within a radius: rounding must not make it a miss."""
    return radius + _SLACK * max(abs(radius), _LEAST)


def radius_of(dataset: Dataset, k: int, quantile: float) -> float:
    """Return the quantile of the true k-th distances over all queries of a dataset: that of one of them.

    Raises ConfigError where k is beyond the ground truth.
    """
    depth = dataset.distances.shape[1]
    if k > depth:
        raise ConfigError(f"{dataset.name} has {depth} true neighbours a query, so the {k}-th distance isn't known")
    ids = dataset.neighbors[:, k - 1 : k].astype(np.int64)
    kth = dataset.distances_to(ids)[:, 0]
    return float(np.quantile(kth[np.isfinite(kth)], quantile, method="lower"))


def count_within(
    dataset: Dataset, radius: float, count: int, advance: Callable[[int], None] = lambda _: None
) -> NDArray[np.int64]:
    """Count the rows within a radius of each of the first `count` queries, (count,) int64.

    `advance` is told of each block how many pairs it compared. Raises ConfigError for jaccard, which has no products.
    """
    if dataset.metric is Metric.JACCARD:
        raise ConfigError(f"{dataset.name}: range search knows no truth under jaccard yet; use another dataset")
    found = np.zeros(count, np.int64)
    for start in range(0, len(dataset.train), _ROWS):
        rows = _factors(dataset, dataset.train[start : start + _ROWS])
        for first in range(0, count, _QUERIES):
            last = min(first + _QUERIES, count)
            queries = _factors(dataset, dataset.test[first:last])
            found[first:last] += _within(dataset, (queries, first), (rows, start), radius)
            advance((last - first) * len(rows[0]))
    return found


def true_counts(dataset: Dataset, radius: float, count: int, *, progress: bool = False) -> NDArray[np.int64]:
    """Return what `count_within` gives, read from beside the dataset's file where it was computed before."""
    kept = _path(dataset, radius, count)
    if kept is not None:
        with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
            counts: NDArray[np.int64] = np.asarray(json.loads(kept.read_text(encoding="utf-8"))["counts"], np.int64)
            if counts.shape == (count,):
                return counts
    with _bar(progress, total=count * len(dataset.train)) as advance:
        counts = count_within(dataset, radius, count, advance)
    if kept is not None:
        with contextlib.suppress(OSError):  # a folder that can't be written: it is computed again
            write_text(kept, json.dumps({"radius": radius, "counts": counts.tolist()}) + "\n")
    return counts


def _path(dataset: Dataset, radius: float, count: int) -> Path | None:
    if dataset.path is None or dataset.metric is Metric.JACCARD:
        return None
    # Halves of one dataset have as many queries: their first one tells them apart.
    first = hashlib.sha256(np.ascontiguousarray(dataset.test[:1]).tobytes()).hexdigest()
    key = json.dumps([dataset.sha256, repr(radius), count, len(dataset.test), first])
    return dataset.path.with_name(f".{dataset.name}.range-{hashlib.sha256(key.encode()).hexdigest()[:12]}.json")


def _factors(dataset: Dataset, part: Any) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Return rows whose products tell distances, (m, d) float32, and their squared lengths, (m,)."""
    if dataset.metric is Metric.HAMMING:
        bits = np.unpackbits(part, axis=1)
        rows = bits.astype(np.float32)
    elif dataset.metric is Metric.ANGULAR:
        rows = normalise(part)
    else:
        rows = np.ascontiguousarray(part, np.float32)
    return rows, np.einsum("ij,ij->i", rows, rows, dtype=np.float64)


def _within(
    dataset: Dataset,
    queries: tuple[tuple[NDArray[np.float32], NDArray[np.float64]], int],
    rows: tuple[tuple[NDArray[np.float32], NDArray[np.float64]], int],
    radius: float,
) -> NDArray[np.int64]:
    """Count for each query of a block the rows of another within the radius."""
    (ours, our_squares), first = queries
    (theirs, their_squares), start = rows
    products = (ours @ theirs.T).astype(np.float64)
    lengths = np.sqrt(our_squares[:, None] * their_squares[None])
    error = _PRODUCT_ERROR * np.maximum(lengths, 1e-30)
    if dataset.metric is Metric.ANGULAR:
        beyond = (1.0 - products) - radius
    elif dataset.metric is Metric.IP:
        beyond = -products - radius
    elif dataset.metric is Metric.HAMMING:  # differing bits: both sums less twice what they share, exact in float32
        differing = our_squares[:, None] + their_squares[None] - 2.0 * products
        return np.asarray((differing <= radius * dataset.dimension + 1e-6).sum(axis=1), np.int64)
    else:  # |q - x|^2 = |q|^2 + |x|^2 - 2 q.x
        beyond = our_squares[:, None] + their_squares[None] - 2.0 * products - radius * abs(radius)
        error = 2.0 * error + _PRODUCT_ERROR * (our_squares[:, None] + their_squares[None])
    inside = beyond < -error
    near = np.argwhere(np.abs(beyond) <= error)
    counts: NDArray[np.int64] = inside.sum(axis=1).astype(np.int64)
    if len(near):
        away = pair_distances(dataset.metric, dataset.test, dataset.train, near[:, 0] + first, near[:, 1] + start)
        np.add.at(counts, near[away * dataset.bit_scale <= radius, 0], 1)
    return counts


@contextlib.contextmanager
def _bar(wanted: bool, total: int) -> Iterator[Callable[[int], None]]:
    if not wanted:
        yield lambda _: None
        return
    from rich.progress import Progress

    from harness.core.console import Lines

    with Progress(console=Lines(stderr=True), transient=True) as bar:
        task = bar.add_task("rows within the radius", total=total)
        yield lambda amount: bar.advance(task, amount)
