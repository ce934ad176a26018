"""k-means: centroids that lie near all rows, by Lloyd's algorithm or by mini-batches.

The same seed gives the same centroids, bit for bit, on any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.codes.kmeans_assign import Workers, assign_rows, start_workers, sum_rows
from algorithms.kernels.codes.kmeans_steps import draw, lower
from algorithms.kernels.jit import read_only
from harness.core.errors import ParameterError
from harness.data.metric import normalise

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]
Init = Literal["sample", "k-means++"]
Progress = Callable[[int, float], None]

# Rows a centroid that k-means++ draws from, and their least number: each centroid costs a pass over all of them.
_CANDIDATES = 16
_LEAST_CANDIDATES = 4096


@dataclass(frozen=True, eq=False)
class Clustering:
    """What k-means found.

    `centroids` (k, dim) float32; `labels` (n,) int32, the nearest centroid of each row; `objective`, mean squared
    distances of rows from their centroids, halved for spherical ones (1 - cosine, if rows have length 1): before each
    iteration that of the rows which it saw, and last that of all rows under the centroids returned.
    """

    centroids: Floats
    labels: Labels
    objective: tuple[float, ...]


def kmeans(
    rows: NDArray[Any],
    k: int,
    *,
    iterations: int = 10,
    spherical: bool = False,
    init: Init = "sample",
    batch: int | None = None,
    sample: int | None = None,
    seed: int = 0,
    threads: int = 1,
    progress: Progress | None = None,
) -> Clustering:
    """Cluster rows around k centroids.

    `rows` (n, dim) float32, finite. Each iteration moves all centroids to the means of their rows (Lloyd, IEEE Trans.
    Inf. Theory 28, 1982), and none follows once no label changes. A centroid without rows moves to one, drawn in
    proportion to its squared distance from its own centroid. The first centroids are rows drawn alike, or by k-means++
    (Arthur and Vassilvitskii, SODA 2007) from a bounded number of them. `spherical` keeps centroids at length 1, and
    assigns by the largest inner product (Dhillon and Modha, Machine Learning 42, 2001). With `batch`, an iteration
    takes so many rows, drawn anew, and it takes more iterations (Sculley, WWW 2010). With `sample`, centroids come of
    so many random rows. `progress` is called with the number of each objective, and the objective, as they come. Raises
    ParameterError.
    """
    rows = _checked_rows(rows)
    _check(len(rows), k, iterations, init, batch, sample, threads)
    rng = np.random.default_rng(seed)
    seen = rows if sample is None else _some(rng, rows, sample)
    centroids = _first_centroids(seen, k, init, rng, spherical=spherical)
    with start_workers(threads) as workers:
        training = _Training(centroids, spherical, rng, workers, progress)
        if batch is None:
            training.lloyd(seen, iterations)
        else:
            training.mini_batches(seen, iterations, batch)
        labels, _ = training.assign(rows)
    return Clustering(centroids, labels, tuple(training.objective))


def assign(
    rows: NDArray[Any], centroids: NDArray[Any], *, spherical: bool = False, threads: int = 1
) -> tuple[Labels, Floats]:
    """Find the nearest centroid of each row, or that of the largest inner product; of a tie, the first.

    `rows` (n, dim) and `centroids` (k, dim) float32, finite. Returns labels (n,) int32 and squared distances (n,)
    float32, halved if `spherical`: 1 - cosine where both have length 1. Raises ParameterError.
    """
    rows, centroids = _checked_rows(rows), _checked_rows(centroids, "centroids")
    if len(centroids) == 0 or rows.shape[1] != centroids.shape[1]:
        raise ParameterError(f"centroids must be (k, {rows.shape[1]}) as rows are, k >= 1; got {centroids.shape}")
    _check_least("threads", threads, 1)
    with start_workers(threads) as workers:
        return assign_rows(rows, centroids, workers, spherical=spherical)


@dataclass(eq=False)
class _Training:
    """Centroids (k, dim) that move where they lie, and the objective of every assignment so far."""

    centroids: Floats
    spherical: bool
    rng: np.random.Generator
    workers: Workers
    progress: Progress | None
    objective: list[float] = field(default_factory=list)

    def assign(self, rows: Floats) -> tuple[Labels, Floats]:
        """Assign rows to the centroids as they are, and note the objective."""
        labels, distances = assign_rows(rows, read_only(self.centroids), self.workers, spherical=self.spherical)
        self.objective.append(float(distances.mean(dtype=np.float64)))
        if self.progress is not None:
            self.progress(len(self.objective) - 1, self.objective[-1])
        return labels, distances

    def lloyd(self, rows: Floats, iterations: int) -> None:
        """Move centroids to the means of their rows, again and again."""
        before = None
        for _ in range(iterations):
            labels, distances = self.assign(rows)
            if before is not None and np.array_equal(labels, before):
                return
            sums, counts = sum_rows(rows, labels, len(self.centroids), self.workers)
            self._move(counts > 0, sums / np.maximum(counts, 1)[:, None])
            repaired = self._repair(np.flatnonzero(counts == 0), rows, distances)
            # A centroid may have moved to where another one moved, and got no rows yet.
            before = None if repaired else labels

    def mini_batches(self, rows: Floats, iterations: int, batch: int) -> None:
        """Move centroids to the means of all rows that they have been given so far, a batch at a time."""
        totals = np.zeros(len(self.centroids), np.int64)
        for _ in range(iterations):
            part = _some(self.rng, rows, batch)
            labels, distances = self.assign(part)
            sums, counts = sum_rows(part, labels, len(self.centroids), self.workers)
            totals += counts
            # One row after the other, each by 1 / (rows so far), comes to c + (sum - count c) / (rows so far).
            steps = (sums - counts[:, None] * self.centroids) / np.maximum(totals, 1)[:, None]
            self._move(counts > 0, self.centroids + steps)
            self._repair(np.flatnonzero(totals == 0), part, distances)

    def _move(self, moved: NDArray[np.bool_], places: NDArray[np.float64]) -> None:
        """Move some centroids to their places; a place of length 0 has no direction to move in."""
        if self.spherical:
            moved = moved & places.any(axis=1)
        self.centroids[moved] = normalise(places[moved]) if self.spherical else places[moved]

    def _repair(self, empty: NDArray[np.int64], rows: Floats, distances: Floats) -> bool:
        """Move centroids without rows to different ones, drawn in proportion to their distances (n,) from their own.

        So clusters lose rows in proportion to their inertia. Returns whether any moved: none if all rows lie on theirs.
        """
        if len(empty) == 0 or not distances.any():
            return False
        shares = distances / distances.sum(dtype=np.float64)
        count = min(len(empty), int(np.count_nonzero(shares)))
        chosen = rows[self.rng.choice(len(rows), count, replace=False, p=shares)]
        self.centroids[empty[:count]] = normalise(chosen) if self.spherical else chosen
        return True


def _checked_rows(rows: NDArray[Any], name: str = "rows") -> Floats:
    if rows.ndim != 2 or rows.shape[1] == 0:
        raise ParameterError(f"{name} must be (n, dim) with dim >= 1; got {rows.shape}")
    with np.errstate(over="ignore"):  # beyond float32 is beyond what is allowed
        rows = read_only(rows)
    largest = max(float(rows.max(initial=0.0)), -float(rows.min(initial=0.0)))
    most = float(np.sqrt(np.finfo(np.float32).max / rows.shape[1])) / 4.0
    if not largest <= most:  # a NaN is not
        raise ParameterError(f"{name} must hold no NaN and nothing beyond {most:.1e}: squared distances would overflow")
    return rows


def _check(n: int, k: int, iterations: int, init: str, batch: int | None, sample: int | None, threads: int) -> None:
    if n == 0:
        raise ParameterError("k-means needs rows; got none")
    if init not in ("sample", "k-means++"):
        raise ParameterError(f"init must be 'sample' or 'k-means++'; got {init!r}")
    _check_least("iterations", iterations, 0)
    for name, value in (("k", k), ("batch", batch), ("sample", sample), ("threads", threads)):
        _check_least(name, value, 1)


def _check_least(name: str, value: int | None, least: int) -> None:
    if value is not None and value < least:
        raise ParameterError(f"{name} must be at least {least}; got {value}")


def _some(rng: np.random.Generator, rows: Floats, count: int) -> Floats:
    """Draw different rows, and keep their order, in which memory is read best."""
    if count >= len(rows):
        return rows
    return read_only(rows[np.sort(rng.choice(len(rows), count, replace=False, shuffle=False))])


def _first_centroids(rows: Floats, k: int, init: Init, rng: np.random.Generator, *, spherical: bool) -> Floats:
    """Draw k rows, (k, dim); none twice as long as there are others."""
    if init == "sample":
        chosen = rows[np.resize(rng.permutation(len(rows)), k)]
        return normalise(chosen) if spherical else chosen
    candidates = _some(rng, rows, max(_CANDIDATES * k, _LEAST_CANDIDATES))
    return plus_plus(read_only(normalise(candidates)) if spherical else candidates, k, rng)


def plus_plus(rows: Floats, k: int, rng: np.random.Generator) -> Floats:
    """Draw k of the rows (n, dim), n >= 1, each in proportion to D^2, its squared distance from the nearest so far."""
    distances = np.full(len(rows), np.inf, np.float32)
    centroids = np.empty((k, rows.shape[1]), np.float32)
    chosen = int(rng.integers(len(rows)))
    for c in range(k):
        centroids[c] = rows[chosen]
        total = lower(rows, centroids[c], distances)
        # At 0 a centroid lies on every row, and the rest may be any.
        chosen = draw(distances, rng.random() * total) if total > 0.0 else int(rng.integers(len(rows)))
    return centroids
