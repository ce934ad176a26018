"""The end of a search: candidates are reranked by the rows, and their ids written to the answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.codes.rows import float_rank, prefetch_row
from algorithms.kernels.graph.pool import EMPTY, insert_key, make_key, node_of, rank_of
from algorithms.kernels.jit import kernel
from algorithms.kernels.simd.instructions import float_bits

Array = Any

# Rows ahead of the present one whose memory is asked for when candidates are ranked again.
AHEAD = 3


@kernel
def write_ids(keys: Array, ids: Array, answer: Array) -> None:
    """Fill `answer` (k,) int64 with the ids of the first k keys, -1 where there are fewer."""
    for j in range(answer.shape[0]):
        if j < keys.shape[0] and keys[j] != EMPTY:
            answer[j] = ids[node_of(keys[j])]
        else:
            answer[j] = -1


@kernel
def rerank(
    rows: Array,
    query: Array,
    inner: bool,
    found: Array,
    unit: float,
    bound_ratio: float,
    bound_margin: float,
    best: Array,
) -> None:
    """Fill `best` (k,) with the keys of the nearest rows among the nodes `found`, ascending by their ranks.

    It ends early when the lower bound of what follows is beyond the k-th: d^2 >= unit * (bound_ratio * d'^2 -
    bound_margin) for the distance d' of the codes. A ratio of 0 is no bound, and ranks all.
    """
    k, count = best.shape[0], found.shape[0]
    best[:] = EMPTY
    for j in range(min(AHEAD, count)):
        if found[j] != EMPTY:
            prefetch_row(rows, node_of(found[j]))
    for j in range(count):
        if found[j] == EMPTY:
            break
        if bound_ratio > 0.0 and best[k - 1] != EMPTY:
            bound = np.float32((bound_ratio * rank_of(found[j]) - bound_margin) * unit)
            if bound > 0.0 and float_bits(bound) >= rank_of(best[k - 1]):
                break
        if j + AHEAD < count and found[j + AHEAD] != EMPTY:
            prefetch_row(rows, node_of(found[j + AHEAD]))
        node = node_of(found[j])
        key = make_key(float_rank(rows, node, query, inner), node)
        if key < best[k - 1]:
            insert_key(best, k, key)
