"""What `auto` means: parameters from theory where it decides, and from measurement where it doesn't."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from algorithms.lsh import theory

# Rows of which random pairs are taken, for the distances and angles between any two vectors.
PAIRS = 512
# Rows that serve as queries, and how many of their neighbours are to be found.
SAMPLE = 128
NEIGHBOURS = 10
# Tables more than these find more, but take memory, which is slower to reach than more buckets of few tables.
N_TABLES = 4
# Vectors that a query should meet in its own bucket: so few blocks that memory is read as a stream.
BUCKET = 450.0
P_STABLE_FUNCTIONS = 8
MOST_BITS = 16
# Vectors a slot of the directory of p-stable buckets.
SLOT = 8
MAX_SLOT_BITS = 24
# What is tried: candidates a neighbour, and how far to reach.
FACTORS = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 12.0, 16.0, 24.0, 32.0)
REACHES = (0.0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.6, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0, 2.5, 3.0, 4.0)


def sketch_dim(size: int) -> int:
    """Return how many of the `size` coordinates of a rotation a sketch holds: all of 128, or 96 of more.

    With all of them the sketch knows the distance but for its rounding; of many, more than these cost more in scanning
    than they save in ranking.
    """
    return size if size <= 128 else 96


def hyperplane_bits(away: NDArray[np.float64], n: int) -> int:
    """Return how many hyperplanes leave `BUCKET` vectors to a bucket; `away` (m, dim) are vectors from the centre."""
    if len(away) < 2:
        return 1
    lengths = np.sqrt(np.einsum("ij,ij->i", away, away))
    left, right = away[::2][: len(away) // 2], away[1::2]
    scale = lengths[::2][: len(away) // 2] * lengths[1::2]
    cosines = np.einsum("ij,ij->i", left, right) / np.where(scale > 0.0, scale, 1.0)
    collision = theory.hyperplane_collision(np.arccos(np.clip(cosines, -1.0, 1.0)))
    return theory.bits_for_bucket(collision, n, BUCKET, MOST_BITS)


def bucket_width(away: NDArray[np.float64], n_functions: int, n: int) -> float:
    """Return the width that leaves `BUCKET` vectors to a bucket of so many functions."""
    left, right = away[::2][: len(away) // 2], away[1::2]
    difference = left - right
    distances = np.sqrt(np.einsum("ij,ij->i", difference, difference))
    return theory.width_for_bucket(distances, n_functions, n, BUCKET)


def slot_bits(n: int) -> int:
    """Return the logarithm of the number of slots for the buckets of n vectors."""
    return min(max((n // SLOT).bit_length(), 4), MAX_SLOT_BITS)


def neighbours(rows: Any, sample: NDArray[np.int64], *, by_dot: bool, threads: int) -> NDArray[np.int64]:
    """Return the nearest rows of some rows, each but for itself: (len(sample), NEIGHBOURS or fewer) in no order."""
    k = min(NEIGHBOURS, len(rows) - 1)
    if k < 1:
        return np.empty((len(sample), 0), np.int64)
    norms = np.zeros(len(rows), np.float32)
    if not by_dot:
        norms = (0.5 * np.einsum("ij,ij->i", rows, rows, dtype=np.float64)).astype(np.float32)
    found = np.empty((len(sample), k), np.int64)
    with threadpool_limits(limits=threads, user_api="blas"):
        for start in range(0, len(sample), 16):
            part = slice(start, start + 16)
            scores = norms - rows[sample[part]] @ rows.T
            scores[np.arange(len(scores)), sample[part]] = np.inf
            found[part] = np.argpartition(scores, k - 1, axis=1)[:, :k]
    return found


def recall(ids: NDArray[np.int64], truth: NDArray[np.int64], own: NDArray[np.int64]) -> float:
    """Return the share of true neighbours among the first found ones, leaving out each query's own id."""
    k = truth.shape[1]
    hits = 0
    for found, right, itself in zip(ids, truth, own, strict=True):
        hits += np.isin(right, found[found != itself][:k]).sum()
    return float(hits) / max(1, truth.size)


def choose(measured: Callable[[float, int], float], target: float, k: int) -> tuple[float, int]:
    """Return the shortest reach and the fewest candidates at which the measured recall reaches the target.

    First the candidates, while buckets are opened far beyond need: half of the misses allowed are left to them, so that
    as many are left to the buckets.
    """
    reach_of_sketches = 1.0 - 0.5 * (1.0 - target)
    candidates = [int(np.ceil(factor * k)) for factor in FACTORS]
    chosen = candidates[
        first_true(len(candidates), lambda i: measured(REACHES[-1], candidates[i]) >= reach_of_sketches)
    ]
    return REACHES[first_true(len(REACHES), lambda i: measured(REACHES[i], chosen) >= target)], chosen


def first_true(count: int, holds: Callable[[int], bool]) -> int:
    """Return the first of `count` numbers for which something holds, by halving; the last where it never does."""
    low, high = 0, count - 1
    while low < high:
        middle = (low + high) // 2
        if holds(middle):
            high = middle
        else:
            low = middle + 1
    return low
