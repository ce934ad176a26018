"""Queries drawn anew, the same for every result: how often each stands in a replicate, and exact means of them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

_EXACT_BITS = 52  # of a float64, one left for rounding up


@lru_cache(maxsize=4)
def query_counts(queries: int, replicates: int, seed: int) -> NDArray[np.float64]:
    """Draw how often each query stands in each replicate: (q, replicates) whole numbers, columns summing to q."""
    rng = np.random.default_rng((seed, 0))
    counts = np.empty((queries, replicates))
    for column in range(replicates):
        drawn = rng.integers(0, max(queries, 1), queries)
        counts[:, column] = np.bincount(drawn, minlength=queries)
    counts.flags.writeable = False
    return counts


def redrawn_means(values: NDArray[np.float64], counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean of each row of `values` (rows, q) over the queries of each column of `counts` (q, replicates).

    A sum of floats depends on its order, which a BLAS chooses by processor, number of threads and size. So values are
    rounded to a grid, 2^-52 of q times the largest of the row: every partial sum is then exact in float64, and the
    means are the same bit for bit in every process and on every machine.
    """
    queries = counts.shape[0]
    if not queries:
        return np.full((len(values), counts.shape[1]), np.nan)
    _, exponent = np.frexp(np.abs(values).max(axis=1, keepdims=True) * queries)
    step = np.ldexp(1.0, exponent - _EXACT_BITS)
    means: NDArray[np.float64] = np.rint(values / step) @ counts
    means *= step
    means /= queries
    return means
