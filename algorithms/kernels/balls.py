"""The cells of a ball tree: balls around the mean of their points, which are split across the line of two far ones."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.blocks import negative_dot_lanes, rounding, squared_l2_lanes
from algorithms.kernels.distance import dot, exact_squared_l2
from algorithms.kernels.jit import kernel
from algorithms.kernels.lanes import LANES, load, maximum, root, spread

Array = Any
Lanes = Any

# Rows looked at to choose where to split; all of them would make the build longer for much the same tree.
SAMPLE = 256


@kernel
def farthest(rows: Array, order: Array, point: Array) -> int:
    """Return which of rows[order], or of a sample of them, is farthest from `point` (dim,)."""
    found, away = order[0], -1.0
    for p in range(0, order.shape[0], 1 + order.shape[0] // SAMPLE):
        distance = exact_squared_l2(rows, order[p], point)
        if distance > away:
            found, away = order[p], distance
    return int(found)


@kernel
def mean(rows: Array, order: Array, step: int) -> Array:
    """Return the mean of every `step`-th of rows[order], (dim,) float32."""
    total = np.zeros(rows.shape[1], np.float64)
    for p in range(0, order.shape[0], step):
        row = rows[order[p]]
        for j in range(row.shape[0]):
            total[j] += row[j]
    return (total / ((order.shape[0] + step - 1) // step)).astype(np.float32)


@kernel
def keys_along_line(rows: Array, order: Array, keys: Array) -> None:
    """Fill `keys` (m,) with rows[order] (m, dim) projected on the line between two points that are far apart.

    They are the farthest from the mean and the farthest from that (the pivots of Omohundro 1989 and Moore 2000).
    """
    one = rows[farthest(rows, order, mean(rows, order, 1 + order.shape[0] // SAMPLE))]
    other = rows[farthest(rows, order, one)]
    line = one - other
    for p in range(order.shape[0]):
        keys[p] = dot(rows, order[p], line)


@kernel
def enclose_in_ball(
    rows: Array, order: Array, inner_product: bool, lane: int, centres: Array, radii: Array
) -> None:
    """Write the mean of rows[order] and the radius about it into a lane of the blocks `centres` and `radii`.

    The radius is made greater by what rounding can take from the bounds below.
    """
    centre = mean(rows, order, 1)
    away, norm = 0.0, 0.0
    for p in range(order.shape[0]):
        away = max(away, exact_squared_l2(rows, order[p], centre))
    for j in range(centre.shape[0]):
        centres[j * LANES + lane] = centre[j]
        norm += np.float64(centre[j]) * np.float64(centre[j])
    radius, error = np.sqrt(away), np.float64(rounding(centre.shape[0]))
    if inner_product:
        # Computed products q.c and q.x are off by up to error * |q| |c| and error * |q| (|c| + r).
        radius += error * (2.0 * np.sqrt(norm) + radius)
    radii[lane] = radius * (1.0 + error)


@kernel
def ball_bounds(centres: Array, radii: Array, query: Array) -> Lanes:
    """Return the squares of |q - c| - r for LANES balls, 0 where the query lies inside (the triangle inequality)."""
    centre = root(squared_l2_lanes(centres, query, np.float32(np.inf)))
    centre = centre * spread(np.float32(1.0) - rounding(query.shape[0]))
    gap = maximum(centre - load(radii, 0), spread(np.float32(0.0)))
    return gap * gap


@kernel
def ball_ip_bounds(centres: Array, radii: Array, query: Array, norm: Any) -> Lanes:
    """Return -(q.c + |q| r) for LANES balls, below which no -q.x of theirs can be (Ram and Gray 2012, theorem 3.1)."""
    return negative_dot_lanes(centres, query) - load(radii, 0) * spread(norm)
