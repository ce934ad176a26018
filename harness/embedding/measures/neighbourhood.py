"""Each vector's nearest among the others, exactly, and what the lists of all vectors say together."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.data.metric import Metric, neighbour_distances
from harness.data.truth import exact_neighbors


class Neighbourhood(NamedTuple):
    """The nearest other rows of each row, nearest first: `ids` (n, k) and euclidean `distances` (n, k)."""

    ids: NDArray[np.int64]
    distances: NDArray[np.float64]


def nearest(vectors: NDArray[np.float32], k: int, *, threads: int | None = None) -> Neighbourhood:
    """Find the min(k, n - 1) nearest other rows of each row of `vectors` (n, dim).

    The ids are those of the harness's own ground truth; distances are computed anew in float64. A copy of a row is
    another row, at distance 0.
    """
    n = len(vectors)
    k = min(k, n - 1)
    if k < 1:
        return Neighbourhood(np.empty((n, 0), np.int64), np.empty((n, 0)))
    found, _ = exact_neighbors(Metric.EUCLIDEAN, vectors, vectors, k + 1, threads=threads, progress=False)
    distances = neighbour_distances(Metric.EUCLIDEAN, vectors, vectors, found)
    # The row itself goes last, to be cut off; where k others are copies of it, it may not be in its own list, and the
    # farthest goes.
    distances[found == np.arange(n)[:, None]] = np.inf
    order = np.argsort(distances, axis=1, kind="stable")[:, :k]
    ids = np.take_along_axis(found, order, axis=1).astype(np.int64)
    return Neighbourhood(ids, np.take_along_axis(distances, order, axis=1))


def hubness(ids: NDArray[np.int64]) -> float:
    """Return the skewness of how often each row is among the k nearest of another (Radovanović et al. 2010).

    `ids` (n, k). 0 where all rows are so equally often, above it where some are hubs; nan where there is no neighbour.
    """
    if not ids.size:
        return math.nan
    counts = np.bincount(ids.ravel(), minlength=len(ids))
    apart = counts - counts.mean()
    spread = float(np.sqrt((apart**2).mean()))
    return float((apart**3).mean()) / spread**3 if spread > 0 else 0.0


def relative_contrast(mean_distance: float, nearest_distances: NDArray[np.float64]) -> float:
    """Return the mean distance of two rows over the mean distance to the nearest (He et al. 2012).

    `nearest_distances` (n,). Near 1 the nearest is hardly nearer than any other row, and search is hard; inf where each
    row has a copy, nan where there is no other row.
    """
    if not len(nearest_distances):
        return math.nan
    least = float(nearest_distances.mean())
    return mean_distance / least if least > 0 else math.inf
