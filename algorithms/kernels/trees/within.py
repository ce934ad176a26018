"""All points of a tree within a radius: branch and bound with a limit that stays where it is."""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.kernels.codes.scaling import scale
from algorithms.kernels.jit import kernel
from algorithms.kernels.select.heap import pop
from algorithms.kernels.simd.instructions import lowest_bit
from algorithms.kernels.simd.lanes import LANES, lanes_below
from algorithms.kernels.trees.blocks import negative_dot_lanes, squared_l2_lanes
from algorithms.kernels.trees.tree import BALL_IP, Tree, Walk, bound_children, push_children, unbundle

Array = Any


@kernel
def scan_within(tree: Tree, kind: int, node: int, query: Array, limit: Any, found: Array, total: Any) -> Any:
    """Append the points of a leaf that lie below `limit` to the `total` in `found`; return how many there are then."""
    inner, n = tree.first.shape[0] - 1, tree.order.shape[0]
    groups = tree.points.shape[0] // (tree.first[inner] - inner)
    start = (node - inner) * groups
    for group in range(start, start + groups):
        if kind == BALL_IP:
            mask = lanes_below(negative_dot_lanes(tree.points[group], query), limit)
        else:
            mask = lanes_below(squared_l2_lanes(tree.points[group], query, limit), limit)
        if n < (group + 1) * LANES:
            mask &= (1 << max(0, n - group * LANES)) - 1
        while mask != 0:
            found[total] = tree.order[group * LANES + lowest_bit(mask)]
            total += 1
            mask &= mask - 1
    return total


@kernel
def collect_within(tree: Tree, kind: int, norm: Any, limit: Any, max_leaves: int, walk: Walk, found: Array) -> int:
    """Fill `found` (n,) with the ids of the points below `limit`, in no order; return how many there are.

    Leaves are searched in the order of their bounds, `max_leaves` of them at most.
    """
    inner = tree.first.shape[0] - 1
    bounds, ranks = walk.lanes[:LANES], walk.lanes[LANES:]
    walk.ranks[0], walk.nodes[0] = np.float32(0.0), 0
    count, leaves, visited, total = 1, 0, 0, 0
    while count > 0 and leaves < max_leaves:
        node = pop(walk.ranks, walk.nodes, count)
        count -= 1
        visited += 1
        if node >= inner:
            total = scan_within(tree, kind, node, walk.query, limit, found, total)
            leaves += 1
            continue
        mask = bound_children(tree, kind, node, walk.query, norm, limit, bounds, ranks)
        count = push_children(tree, node, -1, mask, bounds, bounds, walk, count)
    walk.counts[1] += visited
    return total


@kernel
def search_within(
    table: Array, kind: int, length: float, query: Array, limit: Any, max_leaves: int, found: Array
) -> int:
    """Fill `found` (n,) int32 with the ids of the points below `limit` for one query (dim,); return how many.

    `table` and `length` are those of `tree.home_leaves`; `limit` is a squared distance, or a negative product.
    """
    tree, walk = unbundle(table)
    norm = scale(query, length, walk.query)
    return collect_within(tree, kind, norm, limit, max_leaves, walk, found)
