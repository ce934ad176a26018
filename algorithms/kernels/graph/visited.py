"""Which rows a search has seen: a stamp a row, so that forgetting all of them is counting up by one."""

from __future__ import annotations

from typing import Any

from algorithms.kernels.jit import kernel

Array = Any


@kernel
def next_generation(visited: Array) -> Any:
    """Begin a search: return a stamp that none of the n rows carries in `visited` (n + 1,) uint8, zeros at first.

    The last entry holds the stamp of the present search. One byte a row keeps the stamps of a million rows in the
    second-level cache; every 255 searches all are wiped.
    """
    last = visited.shape[0] - 1
    if visited[last] == 255:
        visited[:] = 0
    visited[last] += 1
    return visited[last]
