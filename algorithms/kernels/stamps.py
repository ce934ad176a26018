"""Which vectors a query has seen: each has as its stamp the number of the query that saw it last."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.jit import kernel

Array = Any


@kernel
def name_new(all_ids: Array, stamps: Array, scores: Array, places: Array, kept: int, count: int) -> int:
    """Turn entries kept ... count - 1 from places in the tables into ids, and drop those seen before.

    The vectors seen by this query carry its number, stamps[n], as their stamp. Ids are not looked up as soon as their
    score is known, since each look-up waits for memory: here they wait together.
    """
    generation = stamps[stamps.shape[0] - 1]
    for i in range(kept, count):
        own = all_ids[places[i]]
        if stamps[own] != generation:
            stamps[own] = generation
            scores[kept] = scores[i]
            places[kept] = own
            kept += 1
    return kept


@kernel
def next_generation(stamps: Array) -> None:
    """Give a new query its number, by which all vectors are unseen."""
    last = stamps.shape[0] - 1
    if stamps[last] == np.uint32(0xFFFFFFFF):
        stamps[:] = 0
    stamps[last] += np.uint32(1)
