"""A binary heap of (score, item) pairs in two arrays, the smallest score at the root."""

from __future__ import annotations

from typing import Any

from algorithms.kernels.jit import kernel

Array = Any


@kernel
def push(scores: Array, items: Array, count: int, score: Any, item: int) -> None:
    """Add an entry to a heap of `count` entries; the arrays have room for it."""
    place = count
    while place > 0:
        parent = (place - 1) >> 1
        if scores[parent] <= score:
            break
        scores[place] = scores[parent]
        items[place] = items[parent]
        place = parent
    scores[place] = score
    items[place] = item


@kernel
def replace_root(scores: Array, items: Array, count: int, score: Any, item: int) -> None:
    """Put an entry in the place of the root of a heap of `count` entries, which is thereby removed."""
    place = 0
    while True:
        child = 2 * place + 1
        if child >= count:
            break
        if child + 1 < count and scores[child + 1] < scores[child]:
            child += 1
        if scores[child] >= score:
            break
        scores[place] = scores[child]
        items[place] = items[child]
        place = child
    scores[place] = score
    items[place] = item


@kernel
def pop(scores: Array, items: Array, count: int) -> Any:
    """Remove the root of a heap of `count` entries, and return its item."""
    least, last = items[0], count - 1
    replace_root(scores, items, last, scores[last], items[last])
    return least
