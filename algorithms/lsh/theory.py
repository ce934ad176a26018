"""What theory says: collision probabilities of the two hash families, and what several tables make of them."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_erf = np.vectorize(math.erf, otypes=[np.float64])


def hyperplane_collision(angle: Any) -> Floats:
    """Return the probability that two vectors lie on the same side of a random hyperplane: 1 - angle / pi.

    `angle` in radians, of any shape (Charikar 2002, section 3).
    """
    return np.asarray(1.0 - np.asarray(angle, np.float64) / np.pi)


def p_stable_collision(distance: Any, width: float) -> Floats:
    """Return the probability that two vectors fall into the same bucket of width w on a random Gaussian line.

    1 - 2 Phi(-w/c) - 2 / (sqrt(2 pi) w/c) (1 - exp(-(w/c)^2 / 2)) at the euclidean `distance` c, of any shape; 1 at
    distance 0 (Datar et al. 2004, section 3.2).
    """
    c = np.asarray(distance, np.float64)
    with np.errstate(divide="ignore", over="ignore"):
        ratio = np.where(c > 0.0, width / np.where(c > 0.0, c, 1.0), np.inf)
        tail = 0.5 * (1.0 - _erf(ratio / math.sqrt(2.0)))  # Phi(-w/c)
        chance = 1.0 - 2.0 * tail - 2.0 / (math.sqrt(2.0 * np.pi) * ratio) * -np.expm1(-0.5 * ratio * ratio)
    return np.asarray(np.where(np.isinf(ratio), 1.0, chance))


def bucket_collision(collision: Any, n_functions: int) -> Floats:
    """Return the probability that all functions of a table agree: p^K (Indyk and Motwani 1998)."""
    return np.asarray(np.asarray(collision, np.float64) ** n_functions)


def expected_recall(collision: Any, n_tables: int, n_functions: int) -> float:
    """Return the share of neighbours that share a bucket with the query in one table at least: mean of 1 - (1 - p^K)^L.

    `collision` (any shape) holds the collision probability p of one function for each pair of query and neighbour.
    It is what L tables find when only the query's own buckets are probed.
    """
    together = bucket_collision(collision, n_functions)
    return float(np.mean(1.0 - (1.0 - together) ** n_tables))


def expected_bucket(collision: Any, n_functions: int, n: int) -> float:
    """Return how many of n vectors a query meets in its bucket: n times the mean of p^K over random pairs."""
    return n * float(np.mean(bucket_collision(collision, n_functions)))


def bits_for_bucket(collision: Any, n: int, size: float, most: int) -> int:
    """Return the smallest K, from 1 to `most`, at which a query meets no more than `size` vectors in its bucket.

    `collision` (any shape) holds p of random pairs of vectors.
    """
    for n_functions in range(1, most):
        if expected_bucket(collision, n_functions, n) <= size:
            return n_functions
    return most


def width_for_bucket(distances: Any, n_functions: int, n: int, size: float) -> float:
    """Return the bucket width at which a query meets `size` vectors in its bucket of K p-stable functions.

    `distances` (any shape) are those of random pairs of vectors. Found by bisection: a wider bucket holds more.
    """
    largest = float(np.max(distances, initial=0.0))
    if largest == 0.0:
        return 1.0
    low, high = 1e-3 * largest, 1e3 * largest
    for _ in range(40):
        middle = math.sqrt(low * high)
        if expected_bucket(p_stable_collision(distances, middle), n_functions, n) <= size:
            low = middle
        else:
            high = middle
    return low
