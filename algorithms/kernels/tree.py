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
from algorithms.kernels.heap import pop, push
from algorithms.kernels.jit import kernel
from algorithms.kernels.lanes import LANES, lanes_below, store
from algorithms.kernels.scaling import scale
from algorithms.kernels.simd import lowest_bit, prefetch_items
from algorithms.kernels.topk import insert

Array = Any

# What the cells are, and what is searched for: the nearest points, or those of the greatest dot product.
BOX, BALL, BALL_IP = 0, 1, 2
# Floats asked for ahead of a leaf's turn, after which the processor sees a stream coming.
PREFETCHED = 1024


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
    """The nodes still to visit, as `algorithms.kernels.heap` orders them: never more than the tree has.

    `ranks` and `nodes` are the heap, the least rank at its root; `bounds` is by node, not by place.
    """

    ranks: Array
    nodes: Array
    bounds: Array


@kernel
def bound_children(
    tree: Tree, kind: int, node: int, query: Array, norm: Any, limit: Any, bounds: Array, ranks: Array
) -> int:
    """Fill `bounds` and `ranks` (LANES,) for the children of an inner node; return a mask of those below `limit`."""
    near, far = tree.near[node], tree.far[node]
    if kind == BOX:
        mask = box_bounds(near, far, query, limit, bounds, ranks)
    elif kind == BALL:
        mask = ball_bounds(near, far, query, limit, bounds, ranks)
    else:
        mask = ball_ip_bounds(near, far, query, norm, limit, bounds, ranks)
    children = np.int64(tree.first[node + 1] - tree.first[node])
    return mask & int((1 << children) - 1)


@kernel
def scan_leaf(tree: Tree, kind: int, node: int, query: Array, lanes: Array, distances: Array, positions: Array) -> int:
    """Offer the points of a leaf to the k best so far, and return how many points those were; `lanes` is scratch."""
    inner, n, worst = tree.first.shape[0] - 1, tree.order.shape[0], distances.shape[0] - 1
    groups = tree.points.shape[0] // (tree.first[inner] - inner)
    start = (node - inner) * groups
    for group in range(start, start + groups):
        if kind == BALL_IP:
            found = negative_dot_lanes(tree.points[group], query)
        else:
            found = squared_l2_lanes(tree.points[group], query, distances[worst])
        mask = lanes_below(found, distances[worst])
        if mask == 0:
            continue
        store(lanes, 0, found)
        if n < (group + 1) * LANES:
            mask &= (1 << max(0, n - group * LANES)) - 1
        while mask != 0:
            lane = lowest_bit(mask)
            mask &= mask - 1
            if lanes[lane] < distances[worst]:
                insert(distances, positions, lanes[lane], group * LANES + lane)
    count: int = min(n, (start + groups) * LANES) - min(n, start * LANES)
    return count


@kernel
def prefetch_leaf(tree: Tree, node: int) -> None:
    """Bring the beginning of a leaf into the cache, while another one is searched; the rest follows by itself."""
    inner = tree.first.shape[0] - 1
    groups = tree.points.shape[0] // (tree.first[inner] - inner)
    size = tree.points.shape[1] * groups
    prefetch_items(tree.points, (node - inner) * size, min(size, PREFETCHED))


@kernel
def best_bin_first(
    tree: Tree,
    kind: int,
    home: int,
    query: Array,
    norm: Any,
    max_leaves: int,
    heap: Heap,
    lanes: Array,
    distances: Array,
    positions: Array,
    counts: Array,
) -> None:
    """Search leaves in the order of their ranks until `max_leaves` are done or none can hold a nearer point.

    This is branch and bound by the best first (Hjaltason and Samet 1999); cut short, it is best-bin-first (Beis and
    Lowe 1997). The leaf `home` is searched before all others, so that there is a limit to compare bounds with from the
    start. Fills `distances` and `positions` (k,), ascending; adds the points and nodes visited to `counts` (2,).
    """
    inner, worst = tree.first.shape[0] - 1, distances.shape[0] - 1
    exact = max_leaves >= tree.first[inner] - inner
    # An exact search visits the fewest leaves by the order of their bounds.
    bounds, ranks = lanes[:LANES], lanes[:LANES] if exact else lanes[LANES:]
    points, visited, leaves = scan_leaf(tree, kind, home, query, lanes, distances, positions), 1, 1
    count = 0
    if home > 0:
        heap.bounds[0] = heap.ranks[0] = -np.inf
        heap.nodes[0] = 0
        count = 1
    while count > 0 and leaves < max_leaves:
        node = pop(heap.ranks, heap.nodes, count)
        count -= 1
        if count > 0 and heap.nodes[0] >= inner:
            prefetch_leaf(tree, heap.nodes[0])
        limit = distances[worst]
        if not heap.bounds[node] < limit:
            if exact:
                break
            continue
        visited += 1
        if node >= inner:
            points += scan_leaf(tree, kind, node, query, lanes, distances, positions)
            leaves += 1
            continue
        mask = bound_children(tree, kind, node, query, norm, limit, bounds, lanes[LANES:])
        while mask != 0:
            lane = lowest_bit(mask)
            mask &= mask - 1
            child = tree.first[node] + lane
            if child != home:
                heap.bounds[child] = bounds[lane]
                push(heap.ranks, heap.nodes, count, ranks[lane], child)
                count += 1
    counts[0] += points
    counts[1] += visited


@kernel
def home_leaves(tree: Tree, kind: int, length: float, queries: Array, homes: Array) -> None:
    """Fill `homes` (m,) with the leaf reached from the root by the child of the least rank each time, as its node.

    `queries` (m, dim) are scaled to `length`, or taken as they are where that is 0.
    """
    # The rows may have one dimension more, in which every query is 0.
    query = np.zeros(tree.points.shape[1] // LANES, np.float32)
    bounds, ranks = np.empty(LANES, np.float32), np.empty(LANES, np.float32)
    for i in range(queries.shape[0]):
        norm = scale(queries[i], length, query)
        node = 0
        while node < tree.first.shape[0] - 1:
            bound_children(tree, kind, node, query, norm, np.float32(np.inf), bounds, ranks)
            nearest = 0
            for lane in range(1, tree.first[node + 1] - tree.first[node]):
                if ranks[lane] < ranks[nearest]:
                    nearest = lane
            node = tree.first[node] + nearest
        homes[i] = node


@kernel
def search_tree(
    tree: Tree,
    kind: int,
    length: float,
    queries: Array,
    homes: Array,
    turn: Array,
    max_leaves: int,
    heap: Heap,
    ids: Array,
    counts: Array,
) -> None:
    """Fill the rows `turn` of `ids` (m, k) int64 for `queries` (m, dim), in that order; -1 where there are fewer.

    `homes` (m,) is what `home_leaves` gives for the same queries and `length`; for the others see `best_bin_first`.
    """
    k = ids.shape[1]
    query, lanes = np.zeros(tree.points.shape[1] // LANES, np.float32), np.empty(2 * LANES, np.float32)
    distances, positions = np.empty(k, np.float32), np.empty(k, np.int64)
    for i in turn:
        for j in range(k):
            distances[j], positions[j] = np.inf, -1
        norm = scale(queries[i], length, query)
        best_bin_first(tree, kind, homes[i], query, norm, max_leaves, heap, lanes, distances, positions, counts)
        for j in range(k):
            ids[i, j] = tree.order[positions[j]] if positions[j] >= 0 else -1
