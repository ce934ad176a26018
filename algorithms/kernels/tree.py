"""Search in a tree whose nodes hold up to LANES cells side by side, so that one pass bounds all children of a node.

It is the binary tree of the papers with five levels of it drawn together into one, as Wald, Benthin and Boulos (2008)
do for rays. Nodes are numbered from the root, level by level: the children of a node follow one another.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from algorithms.kernels.balls import ball_bounds, ball_ip_bounds
from algorithms.kernels.blocks import negative_dot_lanes, squared_l2_lanes
from algorithms.kernels.boxes import box_bounds
from algorithms.kernels.jit import kernel
from algorithms.kernels.lanes import LANES, lanes_below, store
from algorithms.kernels.simd import lowest_bit
from algorithms.kernels.topk import insert

Array = Any
Lanes = Any

# What the cells are, and what is searched for: the nearest points, or those of the greatest dot product.
BOX, BALL, BALL_IP = 0, 1, 2


class Tree(NamedTuple):
    """A built tree as flat arrays.

    `first` (inner + 1,) int32: the children of inner node i are the nodes first[i] to first[i + 1] - 1, and the nodes
    from `inner` on are the leaves, in order. `near` (inner, dim * LANES) float32 holds the low corners or the centres
    of the children of a node, `far` their high corners (the same shape) or radii (inner, LANES). `points` (groups,
    dim * LANES) float32 holds the rows of the leaves, as many groups of LANES to each leaf, and `order` (n,) int32
    which row of the data each is: the p-th row stands in lane p % LANES of group p // LANES.
    """

    first: Array
    near: Array
    far: Array
    points: Array
    order: Array


class Heap(NamedTuple):
    """The nodes still to visit, in a binary heap with the least bound at the top: never more than the tree has."""

    bounds: Array
    nodes: Array


@kernel
def heap_push(heap: Heap, count: int, bound: Any, node: int) -> None:
    """Add a node to a heap of `count`."""
    bounds, nodes = heap
    i = count
    while i > 0 and bounds[(i - 1) >> 1] > bound:
        bounds[i], nodes[i] = bounds[(i - 1) >> 1], nodes[(i - 1) >> 1]
        i = (i - 1) >> 1
    bounds[i], nodes[i] = bound, node


@kernel
def heap_pop(heap: Heap, count: int) -> int:
    """Remove the node of the least bound from a heap of `count`, and return it."""
    bounds, nodes = heap
    least = nodes[0]
    bound, node = bounds[count - 1], nodes[count - 1]
    i, child = 0, 1
    while child < count - 1:
        if child + 1 < count - 1 and bounds[child + 1] < bounds[child]:
            child += 1
        if bounds[child] >= bound:
            break
        bounds[i], nodes[i] = bounds[child], nodes[child]
        i, child = child, 2 * child + 1
    bounds[i], nodes[i] = bound, node
    return int(least)


@kernel
def bound_children(tree: Tree, kind: int, node: int, query: Array, norm: Any, limit: Any) -> Lanes:
    """Return lower bounds on the distances to the children of an inner node; `limit` as for `box_bounds`."""
    if kind == BOX:
        return box_bounds(tree.near[node], tree.far[node], query, limit)
    if kind == BALL:
        return ball_bounds(tree.near[node], tree.far[node], query)
    return ball_ip_bounds(tree.near[node], tree.far[node], query, norm)


@kernel
def nearest_leaf(tree: Tree, kind: int, query: Array, norm: Any, lanes: Array) -> int:
    """Return the node number of the leaf reached from the root by the nearest child each time; `lanes` is scratch."""
    node = 0
    while node < tree.first.shape[0] - 1:
        store(lanes, 0, bound_children(tree, kind, node, query, norm, np.float32(np.inf)))
        nearest = 0
        for child in range(1, tree.first[node + 1] - tree.first[node]):
            if lanes[child] < lanes[nearest]:
                nearest = child
        node = tree.first[node] + nearest
    return int(node)


@kernel
def scan_leaf(
    tree: Tree, kind: int, node: int, query: Array, lanes: Array, distances: Array, positions: Array
) -> int:
    """Offer the points of a leaf to the k best so far, and return how many points those were."""
    inner, n, worst = tree.first.shape[0] - 1, tree.order.shape[0], distances.shape[0] - 1
    groups = tree.points.shape[0] // (tree.first[inner] - inner)
    start = (node - inner) * groups
    for group in range(start, start + groups):
        if kind == BALL_IP:
            found = negative_dot_lanes(tree.points[group], query)
        else:
            found = squared_l2_lanes(tree.points[group], query, distances[worst])
        mask = lanes_below(found, distances[worst])
        if mask != 0:
            store(lanes, 0, found)
            if n < (group + 1) * LANES:
                mask &= (1 << max(0, n - group * LANES)) - 1
        while mask != 0:
            lane = lowest_bit(mask)
            mask &= mask - 1
            if lanes[lane] < distances[worst]:
                insert(distances, positions, lanes[lane], group * LANES + lane)
    return min(n, (start + groups) * LANES) - min(n, start * LANES)


@kernel
def best_bin_first(
    tree: Tree,
    kind: int,
    query: Array,
    norm: Any,
    max_leaves: int,
    heap: Heap,
    lanes: Array,
    distances: Array,
    positions: Array,
    counts: Array,
) -> None:
    """Search leaves in the order of their bounds until `max_leaves` are done or none can hold a nearer point.

    This is branch and bound by the best first (Hjaltason and Samet 1999); cut short, it is best-bin-first (Beis and
    Lowe 1997). One leaf is searched before all others, so that there is a limit to compare bounds with from the start.
    Fills `distances` and `positions` (k,), ascending; adds the points and the nodes visited to `counts` (2,).
    """
    inner, worst = tree.first.shape[0] - 1, distances.shape[0] - 1
    distances[:] = np.inf
    positions[:] = -1
    home = nearest_leaf(tree, kind, query, norm, lanes)
    points, visited, leaves = scan_leaf(tree, kind, home, query, lanes, distances, positions), 1, 1
    count = 0
    if home > 0:
        heap_push(heap, count, np.float32(-np.inf), 0)
        count = 1
    while count > 0 and leaves < max_leaves and heap.bounds[0] < distances[worst]:
        node = heap_pop(heap, count)
        count -= 1
        visited += 1
        if node >= inner:
            points += scan_leaf(tree, kind, node, query, lanes, distances, positions)
            leaves += 1
            continue
        found = bound_children(tree, kind, node, query, norm, distances[worst])
        mask = lanes_below(found, distances[worst])
        store(lanes, 0, found)
        while mask != 0:
            lane = lowest_bit(mask)
            mask &= mask - 1
            child = tree.first[node] + lane
            if child != home:
                heap_push(heap, count, lanes[lane], child)
                count += 1
    counts[0] += points
    counts[1] += visited


@kernel
def load_query(queries: Array, i: int, unit: bool, query: Array) -> np.float32:
    """Copy queries[i] into `query`, scaled to length 1 if `unit`; return its length. What `query` has more stays 0."""
    square = 0.0
    for j in range(queries.shape[1]):
        square += np.float64(queries[i, j]) * np.float64(queries[i, j])
    norm = np.sqrt(square)
    scale = 1.0 / norm if unit and norm > 0.0 else 1.0
    for j in range(queries.shape[1]):
        query[j] = queries[i, j] * scale
    return np.float32(norm * scale)


@kernel
def home_leaves(tree: Tree, kind: int, unit: bool, queries: Array, homes: Array) -> None:
    """Fill `homes` (m,) with the leaf at which the search of each query starts."""
    query = np.zeros(tree.points.shape[1] // LANES, np.float32)
    lanes = np.empty(LANES, np.float32)
    for i in range(queries.shape[0]):
        norm = load_query(queries, i, unit, query)
        homes[i] = nearest_leaf(tree, kind, query, norm, lanes)


@kernel
def search_tree(
    tree: Tree,
    kind: int,
    unit: bool,
    queries: Array,
    turn: Array,
    max_leaves: int,
    heap: Heap,
    ids: Array,
    counts: Array,
) -> None:
    """Fill the rows `turn` of `ids` (m, k) int64 for `queries` (m, dim), in that order; -1 where there are fewer."""
    k = ids.shape[1]
    query = np.zeros(tree.points.shape[1] // LANES, np.float32)
    lanes = np.empty(LANES, np.float32)
    distances, positions = np.empty(k, np.float32), np.empty(k, np.int64)
    for i in turn:
        norm = load_query(queries, i, unit, query)
        best_bin_first(tree, kind, query, norm, max_leaves, heap, lanes, distances, positions, counts)
        for j in range(k):
            ids[i, j] = tree.order[positions[j]] if positions[j] >= 0 else -1
