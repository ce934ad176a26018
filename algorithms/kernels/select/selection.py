"""The k smallest of some integers, by counting how many lie below a limit: no branch that could be guessed wrong.

Quickselect makes a wrong guess for every second number that it looks at, which takes as long as comparing a hundred of
them. Here 32 are compared at once; a bisection of their range finds the limit.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.jit import kernel
from algorithms.kernels.simd.instructions import popcount
from algorithms.kernels.simd.integer_lanes import LANES, append, at_most, load_integers

Array = Any

ROOM = 128
"""Items that must exist behind the last one wherever these kernels write."""
# Numbers in a sample that a first limit is guessed from, and how many there must be for that to pay.
_SAMPLE = 64
_MANY = 8 * _SAMPLE


@kernel
def _all_lanes(scores: Array, start: int, count: int, limit: Any) -> Any:
    """Return the mask of those among scores[start : start + 32] that are at most `limit` and lie before `count`."""
    mask = at_most(load_integers(scores, start), np.int32(limit))
    if count - start < LANES:
        mask &= (np.int64(1) << (count - start)) - 1
    return mask


@kernel
def count_at_most(scores: Array, first: int, count: int, limit: Any) -> Any:
    """Count those of scores[first:count] that are at most `limit`; `scores` (count + ROOM or more,) int32."""
    total = np.int64(0)
    for start in range(first, count, LANES):
        total += popcount(np.uint64(_all_lanes(scores, start, count, limit)))
    return total


@kernel
def kth_smallest(scores: Array, first: int, count: int, k: int) -> Any:
    """Return the k-th smallest of scores[first:count], 1 <= k <= count - first, by bisection of their range."""
    low, high = np.int64(scores[first]), np.int64(scores[first])
    for i in range(first, count):
        low, high = min(low, np.int64(scores[i])), max(high, np.int64(scores[i]))
    while low < high:
        middle = (low + high) >> 1
        if count_at_most(scores, first, count, middle) >= k:
            high = middle
        else:
            low = middle + 1
    return low


@kernel
def keep_at_most(scores: Array, items: Array, count: int, limit: Any, ties: Any) -> Any:
    """Move those of the first `count` to the front that are below `limit`, or equal to it for the first `ties` of them.

    Their order stays. Returns how many they are. `scores` and `items` (count + ROOM or more,) int32.
    """
    kept = 0
    for start in range(0, count, LANES):
        below, equal = _all_lanes(scores, start, count, limit - 1), _all_lanes(scores, start, count, limit)
        equal &= ~below
        some = popcount(np.uint64(equal))
        if some > ties:
            few = np.int64(0)
            while ties > 0:
                few |= equal & -equal
                equal &= equal - 1
                ties -= 1
            equal = few
        else:
            ties -= some
        mask = below | equal
        if mask != 0:
            values, own = load_integers(scores, start), load_integers(items, start)
            append(scores, kept, values, mask)
            append(items, kept, own, mask)
            kept += popcount(np.uint64(mask))
    return kept


@kernel
def keep_smallest(scores: Array, items: Array, count: Any, k: Any) -> Any:
    """Move the k smallest of the first `count` to the front, 1 <= k <= count; return the largest of them.

    Each item goes with its score; the order of those kept stays, and of equal ones the first are kept. `scores` and
    `items` (count + ROOM or more,) int32; scores above the least int32.
    """
    if count >= _MANY and 8 * k <= count:
        # A limit guessed from a sample leaves few numbers for the bisection.
        step = count // _SAMPLE
        for j in range(_SAMPLE):
            scores[count + j] = scores[j * step]
        rank = min(_SAMPLE, 3 + (2 * k * _SAMPLE) // count)
        guess = kth_smallest(scores, count, count + _SAMPLE, rank)
        if count_at_most(scores, 0, count, guess) >= k:
            count = keep_at_most(scores, items, count, guess, count)
    limit = kth_smallest(scores, 0, count, k)
    below = count_at_most(scores, 0, count, limit - 1)
    keep_at_most(scores, items, count, limit, k - below)
    return limit


@kernel
def smallest_first(scores: Array, items: Array, count: int, k: int, spare: Array, spare_items: Array) -> None:
    """Bring the k smallest of the first `count` to the front, 1 <= k <= count, and the others behind them.

    `scores`, `items` and the buffers `spare` and `spare_items` are (count + ROOM or more,) int32.
    """
    limit = kth_smallest(scores, 0, count, k)
    ties = k - count_at_most(scores, 0, count, limit - 1)
    kept, left = np.int64(0), np.int64(0)
    for i in range(count):
        score, own = scores[i], items[i]
        take = score < limit
        if score == limit and ties > 0:
            take = True
            ties -= 1
        spare[left], spare_items[left] = score, own
        scores[kept], items[kept] = score, own
        kept += np.int64(take)
        left += np.int64(not take)
    for i in range(left):
        scores[kept + i], items[kept + i] = spare[i], spare_items[i]
