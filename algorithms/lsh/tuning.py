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
# Vectors that a query should meet in its own bucket: a few blocks of the scan.
BUCKET = 80.0
P_STABLE_FUNCTIONS = 8
MOST_BITS = 16
# Vectors a slot of the directory of p-stable buckets.
SLOT = 8
MOST_SLOT_BITS = 24
# Probes are tried in steps of this factor.
GROWTH = 1.5
# Candidates a neighbour.
FACTORS = (1, 1.5, 2, 3, 4, 6, 8, 12, 16, 24, 32, 64)


def sketch_dim(dim: int) -> int:
    """Return how many projections a sketch holds: enough to tell most vectors apart, few enough to scan quickly."""
    return 64 if dim <= 64 else 96


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
    return min(max((n // SLOT).bit_length(), 4), MOST_SLOT_BITS)


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


def choose(measured: Callable[[int, int], float], target: float, k: int, most_probes: int) -> tuple[int, int]:
    """Return the fewest probes, then the fewest candidates, at which the measured recall reaches the target.

    Candidates can only lose what probes find: half of the misses allowed are left to each.
    """
    if k == 0:
        return 1, 1
    many = int(FACTORS[-1] * k)
    reach = 1.0 - 0.5 * (1.0 - target)
    n_probes = 1
    while n_probes < most_probes and measured(n_probes, many) < reach:
        n_probes = int(GROWTH * n_probes) + 1
    n_probes = min(n_probes, most_probes)
    for factor in FACTORS:
        n_candidates = int(np.ceil(factor * k))
        if measured(n_probes, n_candidates) >= target:
            return n_probes, n_candidates
    return n_probes, many
