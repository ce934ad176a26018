"""The end of a search: those found are ranked again by the rows, and their ids are written down."""

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
    rows: Array, query: Array, inner: bool, found: Array, unit: float, trust: float, margin: float, best: Array
) -> None:
    """Fill `best` (k,) with the keys of the nearest rows among the nodes `found`, ascending by their ranks.

    It ends early when nothing that follows should be nearer: a squared distance is at least `trust` times what the
    codes say, less `margin`, both times `unit`. A trust of 0 ranks all.
    """
    k, count = best.shape[0], found.shape[0]
    best[:] = EMPTY
    for j in range(min(AHEAD, count)):
        if found[j] != EMPTY:
            prefetch_row(rows, node_of(found[j]))
    for j in range(count):
        if found[j] == EMPTY:
            break
        if trust > 0.0 and best[k - 1] != EMPTY:
            least = np.float32((trust * rank_of(found[j]) - margin) * unit)
            if least > 0.0 and float_bits(least) >= rank_of(best[k - 1]):
                break
        if j + AHEAD < count and found[j + AHEAD] != EMPTY:
            prefetch_row(rows, node_of(found[j + AHEAD]))
        node = node_of(found[j])
        key = make_key(float_rank(rows, node, query, inner), node)
        if key < best[k - 1]:
            insert_key(best, k, key)
