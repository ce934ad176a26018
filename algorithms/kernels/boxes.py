"""The cells of a kd-tree: boxes with sides along the axes, which are split across their widest side."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.blocks import CHUNK, rounding
from algorithms.kernels.jit import kernel
from algorithms.kernels.lanes import LANES, lanes_below, load, maximum, spread

Array = Any
Lanes = Any

# Rows looked at to choose where to split; all of them would make the build twice as long for the same tree.
SAMPLE = 256


@kernel
def widest_axis(rows: Array, order: Array) -> int:
    """Return the axis of the largest spread among rows[order], or a sample (Friedman, Bentley and Finkel 1977)."""
    dim = rows.shape[1]
    low, high = np.full(dim, np.inf, np.float32), np.full(dim, -np.inf, np.float32)
    for p in range(0, order.shape[0], 1 + order.shape[0] // SAMPLE):
        row = rows[order[p]]
        for j in range(dim):
            low[j] = min(low[j], row[j])
            high[j] = max(high[j], row[j])
    widest = 0
    for j in range(dim):
        if high[j] - low[j] > high[widest] - low[widest]:
            widest = j
    return widest


@kernel
def keys_along_axis(rows: Array, order: Array, keys: Array) -> None:
    """Fill `keys` (m,) with the coordinates of rows[order] (m, dim) along their widest axis."""
    axis = widest_axis(rows, order)
    for p in range(order.shape[0]):
        keys[p] = rows[order[p], axis]


@kernel
def enclose_in_box(rows: Array, order: Array, lane: int, low: Array, high: Array) -> None:
    """Write the corners of the smallest box around rows[order] into a lane of the blocks `low` and `high`."""
    for p in range(order.shape[0]):
        row = rows[order[p]]
        for j in range(row.shape[0]):
            at = j * LANES + lane
            low[at] = min(low[at], row[j])
            high[at] = max(high[at], row[j])


@kernel
def box_bounds(low: Array, high: Array, query: Array, limit: Any) -> Lanes:
    """Return lower bounds on the squared distances to LANES boxes; above `limit`, they may be less, but not below it.

    For every x in a box, |q - x|_j >= max(low_j - q_j, q_j - high_j, 0) (Roussopoulos, Kelley and Vincent 1995).
    """
    dim = query.shape[0]
    zero = spread(np.float32(0.0))
    total = zero
    for start in range(0, dim, CHUNK):
        part = zero
        for j in range(start, min(start + CHUNK, dim)):
            q = spread(query[j])
            gap = maximum(maximum(load(low, j * LANES) - q, q - load(high, j * LANES)), zero)
            part += gap * gap
        total += part
        if lanes_below(total, limit) == 0:
            break
    return total * spread(np.float32(1.0) - np.float32(2.0) * rounding(dim))
