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


def typical_length(rows: NDArray[np.float32]) -> float:
    """Return the root of the mean squared length of rows (n, dim), 1 where all are 0."""
    squares = np.einsum("ij,ij->i", rows, rows, dtype=np.float64)
    return float(np.sqrt(squares.mean())) if squares.any() else 1.0
