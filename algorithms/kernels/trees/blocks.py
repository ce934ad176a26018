"""Distances of LANES points at once from a query.

A block holds LANES points side by side: entry j * LANES + i is coordinate j of point i. Sums run over CHUNK dimensions
before they join the total: short sums lose less to rounding, and in between a block that is too far can be given up.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.jit import kernel
from algorithms.kernels.simd.lanes import LANES, lanes_below, load, spread

Array = Any
Lanes = Any

CHUNK = 32
# Dimensions up to which a block is always read to its end: giving it up saves less than it costs the prefetcher.
SHORT = 128
# More than what two sums of up to 5,000 dimensions, made so, can be off by relative to one another: each dimension of a
# chunk, and each chunk, adds a rounding error of 2^-24 at most (Higham 2002, section 4.2).
ROUNDING = np.float32(2.0**-15)


@kernel
def squared_l2_lanes(block: Array, query: Array, limit: Any) -> Lanes:
    """Return the squared distances of LANES points; where none is below `limit`, perhaps less, but not below it."""
    dim = query.shape[0]
    total = spread(np.float32(0.0))
    for start in range(0, dim, CHUNK):
        part = spread(np.float32(0.0))
        for j in range(start, min(start + CHUNK, dim)):
            gap = load(block, j * LANES) - spread(query[j])
            part += gap * gap
        total += part
        if dim > SHORT and lanes_below(total, limit) == 0:
            break
    return total


@kernel
def negative_dot_lanes(block: Array, query: Array) -> Lanes:
    """Return minus the dot products of LANES points."""
    dim = query.shape[0]
    total = spread(np.float32(0.0))
    for start in range(0, dim, CHUNK):
        part = spread(np.float32(0.0))
        for j in range(start, min(start + CHUNK, dim)):
            part += load(block, j * LANES) * spread(query[j])
        total -= part
    return total
