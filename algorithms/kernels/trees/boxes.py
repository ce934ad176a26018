"""The cells of a kd-tree: boxes with sides along the axes, split across the axis along which their points vary most."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.jit import kernel
from algorithms.kernels.simd.lanes import LANES, lanes_below, load, maximum, spread, store
from algorithms.kernels.trees.blocks import CHUNK, ROUNDING, SHORT

Array = Any

# Rows looked at to choose where to split: all of them would make the build longer for much the same tree.
SAMPLE = 256


@kernel
def widest_axis(rows: Array, order: Array) -> int:
    """Return the axis along which rows[order], or a sample of them, have the largest variance.

    The spread of Friedman, Bentley and Finkel (1977). Their other choice, the range, is that of two odd points: on
    images it finds a third of the neighbours with the same budget.
    """
    dim, first = rows.shape[1], rows[order[0]]
    sums, squares = np.empty(dim, np.float64), np.empty(dim, np.float64)
    for j in range(dim):
        sums[j] = squares[j] = 0.0
    count = 0
    for p in range(0, order.shape[0], 1 + order.shape[0] // SAMPLE):
        row = rows[order[p]]
        count += 1
        for j in range(dim):
            # Less the first row, so that data far from the origin keep their digits.
            value = np.float64(row[j]) - np.float64(first[j])
            sums[j] += value
            squares[j] += value * value
    widest, largest = 0, 0.0
    for j in range(dim):
        variance = squares[j] - sums[j] * sums[j] / count
        if variance > largest:
            widest, largest = j, variance
    return widest


@kernel
def enclose_in_box(rows: Array, order: Array, lane: int, low: Array, high: Array) -> None:
    """Write the corners of the smallest box around rows[order] into a lane of the blocks `low` and `high`."""
    dim = rows.shape[1]
    least, most = np.empty(dim, np.float32), np.empty(dim, np.float32)
    for j in range(dim):
        least[j] = most[j] = rows[order[0], j]
    for p in range(1, order.shape[0]):
        row = rows[order[p]]
        for j in range(dim):
            least[j] = min(least[j], row[j])
            most[j] = max(most[j], row[j])
    for j in range(dim):
        low[j * LANES + lane], high[j * LANES + lane] = least[j], most[j]


@kernel
def box_bounds(low: Array, high: Array, query: Array, limit: Any, bounds: Array, ranks: Array) -> int:
    """Fill `bounds` and `ranks` (LANES,) with lower bounds on the squared distances to LANES boxes.

    For every x in a box, |q - x|_j >= max(low_j - q_j, q_j - high_j, 0) (Roussopoulos, Kelley and Vincent 1995).
    Returns a mask of the boxes whose bound is below `limit`; where there is none, the sums may be unfinished.
    """
    dim, zero, total = query.shape[0], spread(np.float32(0.0)), spread(np.float32(0.0))
    for start in range(0, dim, CHUNK):
        part = spread(np.float32(0.0))
        for j in range(start, min(start + CHUNK, dim)):
            q = spread(query[j])
            gap = maximum(maximum(load(low, j * LANES) - q, q - load(high, j * LANES)), zero)
            part += gap * gap
        total += part
        if dim > SHORT and lanes_below(total, limit) == 0:
            break
    total = total * spread(np.float32(1.0) - ROUNDING)
    store(bounds, 0, total)
    store(ranks, 0, total)
    return lanes_below(total, limit)
