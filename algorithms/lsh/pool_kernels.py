"""The candidates of one query of LSH: a buffer of scores and places, cut down to the best whenever it is full."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from algorithms.kernels.codes.fast_scan import BLOCK
from algorithms.kernels.jit import kernel
from algorithms.kernels.select.topk import select

Array = Any

# Above every sum of look-ups.
NO_THRESHOLD = 65535


KEPT, COUNT, THRESHOLD, NEAREST = 0, 1, 2, 3
"""Places in `Pool.state`: vectors kept, all vectors, the score from which on none is needed, the k-th lowest score."""
KEEP, BEST = 0, 1
"""Places in `Pool.limits`: how many vectors are to be kept, and k."""


class Pool(NamedTuple):
    """The candidates of one query: those of the lowest scores so far.

    `scores` uint16 and `places` int64 (capacity,) hold state[KEPT] vectors whose ids are known and differ, then up to
    state[COUNT] new ones, each by its place in the tables. `state` (4,) and `limits` (2,) are int64.
    """

    scores: Array
    places: Array
    state: Array
    limits: Array


@kernel
def empty_pool(keep: int, k: int) -> Pool:
    """Make a pool that keeps so many candidates."""
    capacity = 2 * keep + BLOCK
    limits = np.empty(2, np.int64)
    limits[KEEP] = keep
    limits[BEST] = k
    return Pool(np.empty(capacity, np.uint16), np.empty(capacity, np.int64), np.empty(4, np.int64), limits)


@kernel
def name_new(all_ids: Array, visited: Array, scores: Array, places: Array, kept: int, count: int) -> int:
    """Turn entries kept ... count - 1 from places in the tables into ids, and drop those seen before.

    The vectors seen by this query carry its stamp, the last of `visited` (n + 1,) uint8. Ids are not looked up as soon
    as their score is known, since each look-up waits for memory: here they wait together.
    """
    stamp = visited[visited.shape[0] - 1]
    for i in range(kept, count):
        own = all_ids[places[i]]
        if visited[own] != stamp:
            visited[own] = stamp
            scores[kept] = scores[i]
            places[kept] = own
            kept += 1
    return kept


@kernel
def cut_down(pool: Pool, all_ids: Array, visited: Array, count: Any) -> Any:
    """Name the new ones of `count` candidates, keep the best, and lower the threshold; return how many are left."""
    keep, k = pool.limits[KEEP], pool.limits[BEST]
    count = name_new(all_ids, visited, pool.scores, pool.places, pool.state[KEPT], count)
    if count > keep:
        pool.state[THRESHOLD] = select(pool.scores, pool.places, count, keep)
        count = keep
    if count >= k:
        pool.state[NEAREST] = select(pool.scores, pool.places, count, k)
    pool.state[KEPT] = count
    pool.state[COUNT] = count
    return count
