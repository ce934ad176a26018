"""Which nodes a search has seen: a stamp a node, so that forgetting all of them is counting up by one."""

from __future__ import annotations

from typing import Any

from algorithms.kernels.jit import kernel

Array = Any


@kernel
def next_generation(visited: Array, generation: Array) -> Any:
    """Begin a search: return a stamp that no entry of `visited` (n,) uint8 carries; `generation` (1,) uint8 holds it.

    One byte a node keeps the stamps of a million nodes in the second-level cache; every 255 searches all are wiped.
    """
    if generation[0] == 255:
        visited[:] = 0
        generation[0] = 0
    generation[0] += 1
    return generation[0]
