"""Assignment of rows to centroids, and sums of those assigned, on several threads.

The products are BLAS's, and a kernel reads the nearest centroid off each block while it is in the cache. Blocks and the
order of sums depend on the data alone: results are the same, bit for bit, on any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from algorithms.kernels.codes.kmeans_steps import distances_to, group, nearest, sum_members
from algorithms.kernels.simd.lanes import LANES

Floats = NDArray[np.float32]
Labels = NDArray[np.int32]

# Rows a block: with fewer, BLAS arranges the centroids too often; with more, products leave the cache before they are
# read. And floats a block at most, which many centroids would exceed.
_BLOCK_ROWS = 512
_BLOCK_FLOATS = 1 << 22
# Where the mean of the centroids is longer than their spread, squared, by this factor, products lose digits to it.
_FAR = 16.0
# Parts that sums are made in, a thread: several even out.
_PARTS = 4


@dataclass(frozen=True, eq=False)
class Workers:
    """Threads that share work, or the caller alone where there is no pool."""

    threads: int
    pool: ThreadPoolExecutor | None

    def run(self, work: Callable[[int], None], count: int) -> None:
        """Call `work` with 0 ... count - 1, and wait for all calls."""
        if self.pool is not None:
            list(self.pool.map(work, range(count)))
            return
        for item in range(count):
            work(item)


@contextmanager
def start_workers(threads: int) -> Iterator[Workers]:
    """Start threads, in which BLAS starts none of its own."""
    with threadpool_limits(limits=1, user_api="blas"):
        if threads == 1:
            yield Workers(1, None)
            return
        with ThreadPoolExecutor(threads) as pool:
            yield Workers(threads, pool)


def assign_rows(rows: Floats, centroids: Floats, workers: Workers, *, spherical: bool) -> tuple[Labels, Floats]:
    """Find the nearest centroids of rows that are read-only: see `algorithms.kernels.codes.kmeans.assign`."""
    n = len(rows)
    columns, offsets, origin = _columns(centroids, spherical=spherical)
    step = max(1, min(_BLOCK_ROWS, _BLOCK_FLOATS // len(offsets)))
    labels, distances = np.empty(n, np.int32), np.empty(n, np.float32)
    starts = iter(range(0, n, step))

    def work(_: int) -> None:
        products = np.empty((min(n, step), len(offsets)), np.float32)
        for start in starts:  # shared by all threads: each takes the next block when it is done with its last
            part = slice(start, min(start + step, n))
            block = rows[part]
            out = products[: len(block)]
            np.matmul(block if origin is None else block - origin, columns, out=out)
            nearest(out, offsets, labels[part])
            distances_to(block, centroids, labels[part], distances[part])

    workers.run(work, workers.threads)
    if spherical:
        distances *= np.float32(0.5)
    return labels, distances


def sum_rows(rows: Floats, labels: Labels, k: int, workers: Workers) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return the sums (k, dim) of the rows of each label, and how many they are (k,)."""
    n = len(rows)
    starts, members = np.zeros(k + 1, np.int64), np.empty(n, np.int32)
    group(labels, starts, members)
    sums = np.zeros((k, rows.shape[1]))
    parts = _PARTS * workers.threads
    # Of centroids, as many to a part as have the same number of rows together.
    bounds = np.searchsorted(starts, np.linspace(0, n, parts + 1))
    bounds[0], bounds[-1] = 0, k
    workers.run(lambda part: sum_members(rows, members, starts, bounds[part], bounds[part + 1], sums), parts)
    return sums, np.diff(starts)


def _columns(centroids: Floats, *, spherical: bool) -> tuple[Floats, Floats, Floats | None]:
    """Return centroids as columns (dim, width), half their squared norms (width,), and their origin (dim,) or None.

    Width is the next multiple of LANES; no row chooses a column beyond k. An origin is to be taken away from the rows,
    too. Under inner products norms don't count, and are 0.
    """
    k, dim = centroids.shape
    width = -(-k // LANES) * LANES
    origin, shifted = None, centroids
    if not spherical:
        mean = centroids.mean(axis=0, dtype=np.float64).astype(np.float32)
        around = centroids - mean
        if k * float(np.vdot(mean, mean)) > _FAR * float(np.vdot(around, around)):
            origin, shifted = mean, around
    columns, offsets = np.zeros((dim, width), np.float32), np.full(width, np.inf, np.float32)
    columns[:, :k] = shifted.T
    offsets[:k] = 0.0 if spherical else 0.5 * np.einsum("ij,ij->i", shifted, shifted)
    return columns, offsets, origin
