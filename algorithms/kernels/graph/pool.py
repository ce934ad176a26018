"""The sorted pool of candidates of a graph search: one int64 a candidate, so that one comparison orders two of them.

A key holds the rank of the distance in its upper 32 bits, the node in the next 31, and in the lowest whether the node
has been expanded. A rank is an int32 that orders as the distances do. Ties go by the node, so that what a search finds
depends on nothing else. Empty places hold `EMPTY`, which is above every key and reads as expanded.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.jit import kernel
from algorithms.kernels.simd.instructions import shift

Array = Any

EMPTY = np.iinfo(np.int64).max
"""What an empty place of a pool holds."""


@kernel
def make_key(rank: int, node: int) -> Any:
    """Return the key of a node that is not expanded; `rank` within int32, `node` within 31 bits."""
    return (np.int64(rank) << 32) | (np.int64(node) << 1)


@kernel
def node_of(key: int) -> int:
    """Return the node that a key holds."""
    return (key & 0xFFFFFFFF) >> 1


@kernel
def rank_of(key: int) -> int:
    """Return the rank that a key holds; that of EMPTY is above, or equal to, every other."""
    return key >> 32


@kernel
def insert_key(pool: Array, size: int, key: int) -> int:
    """Insert into pool[:size], ascending int64, pushing the last out; return the place. The key is below the last."""
    low, high = 0, size
    while low < high:
        middle = (low + high) >> 1
        if pool[middle] < key:
            low = middle + 1
        else:
            high = middle
    shift(pool, low, size - 1)
    pool[low] = key
    return low


@kernel
def sort_keys(keys: Array, count: int) -> None:
    """Sort keys[:count], int64, ascending (Shell's sort)."""
    gap = 1
    while gap < count // 3:
        gap = 3 * gap + 1
    while gap > 0:
        for i in range(gap, count):
            key = keys[i]
            j = i
            while j >= gap and keys[j - gap] > key:
                keys[j] = keys[j - gap]
                j -= gap
            keys[j] = key
        gap //= 3
