"""Search in a tree whose nodes hold up to LANES cells side by side, so that one pass bounds all children of a node.

It is the binary tree of the papers with five levels of it drawn together into one, as Wald, Benthin and Boulos (2008)
do for rays. Nodes are numbered from the root, level by level: the children of a node follow one another.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from algorithms.kernels.bundle import matrix, vector
from algorithms.kernels.codes.scaling import scale
from algorithms.kernels.jit import kernel
from algorithms.kernels.select.heap import pop, push
from algorithms.kernels.select.topk import insert
from algorithms.kernels.simd.instructions import lowest_bit, prefetch_items
from algorithms.kernels.simd.lanes import LANES, lanes_below, least_lane, load, store
from algorithms.kernels.trees.balls import ball_bounds, ball_ip_bounds
from algorithms.kernels.trees.blocks import negative_dot_lanes, squared_l2_lanes
from algorithms.kernels.trees.boxes import box_bounds

Array = Any

# What the cells are, and what is searched for: the nearest points, or those of the greatest dot product.
BOX, BALL, BALL_IP = 0, 1, 2
# Floats asked for ahead of a leaf's turn, after which the processor sees a stream coming.
PREFETCHED = 1024


POINTS, NODES = 0, 1
"""Places in `Walk.counts`: points compared with queries, and nodes visited."""


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


class Walk(NamedTuple):
    """What one thread's searches write to.

    `ranks` and `nodes` are a binary heap of the nodes still to visit, the least rank first: never more than the tree
    has; `bounds` is by node. `path` int32 holds the inner nodes between the root and the leaf that a query starts at,
    `path_bounds` and `path_ranks` (LANES a node) float32 what `bound_children` gave for them. `query` (dim,) float32 is
    the query, `lanes` (2 LANES,) float32 is scratch, `counts` (2,) int64 grows by points and nodes visited.
    """

    ranks: Array
    nodes: Array
    bounds: Array
    path: Array
    path_bounds: Array
    path_ranks: Array
    query: Array
    lanes: Array
    counts: Array


@kernel
def all_children(tree: Tree, node: int) -> int:
    """Return a mask of as many lanes as an inner node has children."""
    return int((1 << np.int64(tree.first[node + 1] - tree.first[node])) - 1)


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
    return mask & all_children(tree, node)


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
            # The nearest first: most go to the end of the k best, and once one is too far all others are.
            lane = least_lane(found, mask)
            if not lanes[lane] < distances[worst]:
                break
            insert(distances, positions, lanes[lane], group * LANES + lane)
            mask &= ~(1 << lane)
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
def descend(tree: Tree, kind: int, norm: Any, walk: Walk) -> Any:
    """Go from the root to a leaf by the child of the least rank each time; return the length of the path, and the leaf.

    What bounds and ranks were met on the way is left in `walk`.
    """
    node, depth = 0, 0
    while node < tree.first.shape[0] - 1:
        bounds = walk.path_bounds[depth * LANES : (depth + 1) * LANES]
        ranks = walk.path_ranks[depth * LANES : (depth + 1) * LANES]
        bound_children(tree, kind, node, walk.query, norm, np.float32(np.inf), bounds, ranks)
        walk.path[depth] = node
        depth += 1
        node = tree.first[node] + least_lane(load(ranks, 0), all_children(tree, node))
    return depth, node


@kernel
def push_children(
    tree: Tree, node: int, but: int, mask: int, bounds: Array, ranks: Array, walk: Walk, count: Any
) -> Any:
    """Put the children of a node that `mask` names on the heap of `count`, but for one; return how many it has then."""
    while mask != 0:
        lane = lowest_bit(mask)
        mask &= mask - 1
        child = tree.first[node] + lane
        if child != but:
            walk.bounds[child] = bounds[lane]
            push(walk.ranks, walk.nodes, count, ranks[lane], child)
            count += 1
    return count


@kernel
def push_siblings(tree: Tree, depth: int, home: int, path_ranks: Array, limit: Any, walk: Walk) -> Any:
    """Put what `descend` passed by on the empty heap, where its bound is below `limit`; return how many that are.

    The path from the root to the leaf `home` has `depth` inner nodes; `path_ranks` are walk.path_ranks, or bounds.
    """
    count, below = 0, home
    for step in range(depth - 1, -1, -1):
        node, part = walk.path[step], slice(step * LANES, (step + 1) * LANES)
        mask = lanes_below(load(walk.path_bounds[part], 0), limit) & all_children(tree, node)
        count = push_children(tree, node, below, mask, walk.path_bounds[part], path_ranks[part], walk, count)
        below = node
    return count


@kernel
def best_bin_first(
    tree: Tree, kind: int, norm: Any, max_leaves: int, walk: Walk, distances: Array, positions: Array
) -> None:
    """Search leaves in the order of their ranks until `max_leaves` are done or none can hold a nearer point.

    This is branch and bound by the best first (Hjaltason and Samet 1999); cut short, it is best-bin-first (Beis and
    Lowe 1997). The leaf that `descend` finds is searched before all others, so that there is a limit to compare bounds
    with from the start. Fills `distances` and `positions` (k,), ascending.
    """
    inner, worst = tree.first.shape[0] - 1, distances.shape[0] - 1
    exact = max_leaves >= tree.first[inner] - inner
    lanes = walk.lanes
    # An exact search visits the fewest leaves by the order of their bounds.
    bounds, ranks = lanes[:LANES], lanes[:LANES] if exact else lanes[LANES:]
    path_ranks = walk.path_bounds if exact else walk.path_ranks
    depth, home = descend(tree, kind, norm, walk)
    points, visited, leaves = scan_leaf(tree, kind, home, walk.query, lanes, distances, positions), 1 + depth, 1
    count = push_siblings(tree, depth, home, path_ranks, distances[worst], walk) if leaves < max_leaves else 0
    while count > 0 and leaves < max_leaves:
        node = pop(walk.ranks, walk.nodes, count)
        count -= 1
        if count > 0 and walk.nodes[0] >= inner:
            prefetch_leaf(tree, walk.nodes[0])
        limit = distances[worst]
        if not walk.bounds[node] < limit:
            if exact:
                break
            continue
        visited += 1
        if node >= inner:
            points += scan_leaf(tree, kind, node, walk.query, lanes, distances, positions)
            leaves += 1
        else:
            mask = bound_children(tree, kind, node, walk.query, norm, limit, bounds, lanes[LANES:])
            count = push_children(tree, node, -1, mask, bounds, ranks, walk, count)
    walk.counts[POINTS] += points
    walk.counts[NODES] += visited


@kernel
def unbundle(table: Array) -> tuple[Tree, Walk]:
    """Return what the table of `bundle((*tree, *walk))` stands for."""
    tree = Tree(
        first=vector(table, 0, np.int32),
        near=matrix(table, 1, np.float32),
        far=matrix(table, 2, np.float32),
        points=matrix(table, 3, np.float32),
        order=vector(table, 4, np.int32),
    )
    walk = Walk(
        ranks=vector(table, 5, np.float32),
        nodes=vector(table, 6, np.int32),
        bounds=vector(table, 7, np.float32),
        path=vector(table, 8, np.int32),
        path_bounds=vector(table, 9, np.float32),
        path_ranks=vector(table, 10, np.float32),
        query=vector(table, 11, np.float32),
        lanes=vector(table, 12, np.float32),
        counts=vector(table, 13, np.int64),
    )
    return tree, walk


@kernel
def home_leaves(table: Array, kind: int, length: float, queries: Array, homes: Array) -> None:
    """Fill `homes` (m,) with the leaf at which each search starts, as its node.

    `table` is that of a bundle of a tree and a walk; `queries` (m, dim) are scaled to `length`, or not where that is 0.
    """
    tree, walk = unbundle(table)
    for i in range(queries.shape[0]):
        norm = scale(queries[i], length, walk.query)
        _, homes[i] = descend(tree, kind, norm, walk)


@kernel
def search_tree(
    table: Array, kind: int, length: float, queries: Array, turn: Array, max_leaves: int, ids: Array
) -> None:
    """Fill the rows `turn` of `ids` (m, k) int64 for `queries` (m, dim), in that order; -1 where there are fewer.

    `table` and `length` are those of `home_leaves`; for the others see `best_bin_first`.
    """
    tree, walk = unbundle(table)
    k = ids.shape[1]
    distances, positions = np.empty(k, np.float32), np.empty(k, np.int64)
    for i in turn:
        for j in range(k):
            distances[j], positions[j] = np.inf, -1
        norm = scale(queries[i], length, walk.query)
        best_bin_first(tree, kind, norm, max_leaves, walk, distances, positions)
        for j in range(k):
            ids[i, j] = tree.order[positions[j]] if positions[j] >= 0 else -1
