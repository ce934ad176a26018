"""Queries at the length that a search wants them: under angular distances only directions count."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.jit import kernel

Array = Any


@kernel
def scale(vector: Array, length: float, out: Array) -> np.float32:
    """Fill out[:dim] with a vector (dim,) at `length`, or as it is where either is 0; return the length it has now."""
    squares = 0.0
    for j in range(vector.shape[0]):
        squares += np.float64(vector[j]) * np.float64(vector[j])
    own = np.sqrt(squares)
    factor = length / own if length > 0.0 and own > 0.0 else 1.0
    for j in range(vector.shape[0]):
        out[j] = np.float32(vector[j] * factor)
    return np.float32(own * factor)


# A row longer than so many medians is an outlier.
_OUTLYING = 4.0


def typical_length(rows: NDArray[np.float32]) -> float:
    """Return the root of the mean squared length of rows (n, dim), outliers cut short; 1 where all are 0."""
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    lengths = squares[squares > 0.0]
    if not lengths.size:  # all 0, or nan, which is refused by name elsewhere
        return 1.0
    middle = float(np.median(lengths))
    return float(np.sqrt(np.minimum(squares, _OUTLYING**2 * middle).mean()))


# Unit vectors nearer than this differ by little more than float32 products of them are rounded by.
_ROUNDED = 1e-4
_SAMPLE, _SAMPLE_QUERIES = 2000, 64


def angle_limit(rows: NDArray[np.float32]) -> dict[str, str]:
    """Return what to state in `effective` where unit vectors (n, dim) have neighbours too near for float32 products."""
    sample = rows[np.random.default_rng(0).permutation(len(rows))[:_SAMPLE]].astype(np.float64)
    squares = [np.square(sample - row).sum(axis=1) for row in sample[:_SAMPLE_QUERIES]]
    nearest = [float(away[away > 0.0].min()) / 2.0 for away in squares if (away > 0.0).any()]
    if not nearest or np.median(nearest) > _ROUNDED:
        return {}
    return {"limit": f"neighbours at 1 - cos = {np.median(nearest):.0e} are ranked by float32 products, off by 1e-7"}


# Lengths that differ by more than this: of the longest row, and of the one that 1% of the rows are shorter than.
_UNLIKE = 100.0


def length_limit(rows: NDArray[np.float32], *, centred: bool) -> dict[str, str]:
    """Return what to state in `effective` where rows (n, dim) have very unlike lengths; empty where they have not.

    One step of codes can't serve both the long rows and the short ones, and graphs hardly link them. With `centred`,
    lengths are distances from the mean: under euclidean the origin is a point like others.
    """
    if centred and len(rows):
        rows = rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32)
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    squares = squares[squares > 0.0]
    if not len(squares):
        return {}
    times = float(np.sqrt(squares.max() / np.quantile(squares, 0.01)))
    if times <= _UNLIKE:
        return {}
    return {"limit": f"lengths of rows differ {times:.0e}-fold: neighbours may be missed at any setting"}
