"""The cells of a ball tree: balls around the mean of their points, split across the direction of the most variance."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.jit import kernel
from algorithms.kernels.simd.distance import dot, exact_squared_l2
from algorithms.kernels.simd.lanes import LANES, lanes_below, load, maximum, root, spread, store
from algorithms.kernels.trees.blocks import ROUNDING, negative_dot_lanes, squared_l2_lanes
from algorithms.kernels.trees.boxes import SAMPLE, widest_axis

Array = Any

# Steps of the power iteration: a direction that is nearly right splits nearly as well.
TURNS = 2
# A bound is the distance to the nearest point that a ball could hold, and in many dimensions no ball holds a point
# anywhere near there. So a search that can't visit all leaves ranks balls as if their radius were half of what it is.
SHARE = np.float32(0.5)


@kernel
def mean(rows: Array, order: Array, step: int) -> Array:
    """Return the mean of every `step`-th of rows[order], (dim,) float32."""
    dim = rows.shape[1]
    total, centre = np.empty(dim, np.float64), np.empty(dim, np.float32)
    for j in range(dim):
        total[j] = 0.0
    for p in range(0, order.shape[0], step):
        row = rows[order[p]]
        for j in range(dim):
            total[j] += row[j]
    for j in range(dim):
        centre[j] = total[j] / ((order.shape[0] + step - 1) // step)
    return centre


@kernel
def principal_direction(rows: Array, order: Array) -> Array:
    """Return, (dim,) float32, about the direction in which rows[order], or a sample, vary most (Dolatshah et al. 2015).

    By power iteration from the widest axis, which it stays near where all directions are alike.
    """
    dim, step = rows.shape[1], 1 + order.shape[0] // SAMPLE
    centre = mean(rows, order, step)
    line, turned = np.empty(dim, np.float32), np.empty(dim, np.float64)
    axis = widest_axis(rows, order)
    for j in range(dim):
        line[j] = j == axis
    for _ in range(TURNS):
        offset = np.float32(0.0)
        for j in range(dim):
            offset += centre[j] * line[j]
            turned[j] = 0.0
        for p in range(0, order.shape[0], step):
            row, along = rows[order[p]], dot(rows, order[p], line) - offset
            for j in range(dim):
                turned[j] += along * (row[j] - centre[j])
        largest = 0.0
        for j in range(dim):
            largest = max(largest, abs(turned[j]))
        if largest == 0.0:
            break
        for j in range(dim):
            line[j] = turned[j] / largest
    return line


@kernel
def enclose_in_ball(rows: Array, order: Array, inner_product: bool, lane: int, centres: Array, radii: Array) -> None:
    """Write the mean of rows[order] and the radius about it into a lane of the blocks `centres` and `radii`.

    The radius is made greater by what rounding can take from the bounds below.
    """
    centre = mean(rows, order, 1)
    away, square = 0.0, 0.0
    for p in range(order.shape[0]):
        away = max(away, exact_squared_l2(rows, order[p], centre))
    for j in range(centre.shape[0]):
        centres[j * LANES + lane] = centre[j]
        square += np.float64(centre[j]) * np.float64(centre[j])
    radius = np.sqrt(away)
    if inner_product:
        # Computed products q.c and q.x are off by up to ROUNDING |q| |c| and ROUNDING |q| (|c| + r).
        radius += ROUNDING * (2.0 * np.sqrt(square) + radius)
    radii[lane] = radius * (1.0 + ROUNDING)


@kernel
def ball_bounds(centres: Array, radii: Array, query: Array, limit: Any, bounds: Array, ranks: Array) -> int:
    """Fill `bounds` (LANES,) with the squares of |q - c| - r for LANES balls, 0 where the query lies inside.

    By the triangle inequality none of a ball's points is nearer. `ranks` gets the same for smaller balls: see `SHARE`.
    Returns a mask of the balls whose bound is below `limit`.
    """
    away = root(squared_l2_lanes(centres, query, np.float32(np.inf))) * spread(np.float32(1.0) - ROUNDING)
    zero, radius = spread(np.float32(0.0)), load(radii, 0)
    gap = maximum(away - radius, zero)
    store(bounds, 0, gap * gap)
    wide = maximum(away - radius * spread(SHARE), zero)
    store(ranks, 0, wide * wide)
    return lanes_below(gap * gap, limit)


@kernel
def ball_ip_bounds(
    centres: Array, radii: Array, query: Array, norm: Any, limit: Any, bounds: Array, ranks: Array
) -> int:
    """Fill `bounds` (LANES,) with -(q.c + |q| r) for LANES balls; `ranks` and the mask are as for `ball_bounds`.

    No -q.x of a ball's points is less (Ram and Gray 2012, theorem 3.1).
    """
    centre, reach = negative_dot_lanes(centres, query), load(radii, 0) * spread(norm)
    store(bounds, 0, centre - reach)
    store(ranks, 0, centre - reach * spread(SHARE))
    return lanes_below(centre - reach, limit)
