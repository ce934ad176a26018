"""Connecting layer 0, so that each node can be reached from every other.

The heuristic that chooses neighbours may cut a graph into pieces: tight clusters keep no link to each other, and under
inner products short rows are nobody's neighbours. No `ef` finds what can't be reached. On ordinary data hardly a node
is affected. (Fu et al. 2019, NSG, VLDB 12(5), attach what a walk from the entry point misses in the same way.)
"""

from __future__ import annotations

from typing import Any

import numpy as np

from algorithms.hnsw.kernels import Graph, Scratch, k_nn_search
from algorithms.kernels.codes.rows import load_row
from algorithms.kernels.graph.pool import EMPTY, node_of
from algorithms.kernels.jit import kernel

Array = Any


@kernel
def transpose(ground: Array, n: int, starts: Array, sources: Array) -> None:
    """Fill `sources` with the nodes that link to each of n nodes: those of i are sources[starts[i]:starts[i + 1]].

    `starts` (n + 2,) int64 is zeros on entry, `sources` int32 has room for all links.
    """
    for node in range(n):
        for j in range(ground.shape[1]):
            if ground[node, j] < 0:
                break
            starts[ground[node, j] + 2] += 1
    for node in range(n):
        starts[node + 2] += starts[node + 1]
    # starts[i + 1] is where the sources of i begin, and moves to where they end.
    for node in range(n):
        for j in range(ground.shape[1]):
            if ground[node, j] < 0:
                break
            target = ground[node, j]
            sources[starts[target + 1]] = node
            starts[target + 1] += 1


@kernel
def mark_reached(ground: Array, start: int, reached: Array, stack: Array) -> None:
    """Mark `start` and every node that links lead to from there; `stack` (n,) int32 is a buffer."""
    reached[start] = True
    stack[0] = start
    height = 1
    while height > 0:
        height -= 1
        node = stack[height]
        for j in range(ground.shape[1]):
            neighbour = ground[node, j]
            if neighbour < 0:
                break
            if not reached[neighbour]:
                reached[neighbour] = True
                stack[height] = neighbour
                height += 1


@kernel
def mark_reaching(starts: Array, sources: Array, target: int, reaching: Array, stack: Array) -> None:
    """Mark `target` and every node from which links lead there, by the graph that `transpose` made."""
    reaching[target] = True
    stack[0] = target
    height = 1
    while height > 0:
        height -= 1
        node = stack[height]
        for at in range(starts[node], starts[node + 1]):
            source = sources[at]
            if not reaching[source]:
                reaching[source] = True
                stack[height] = source
                height += 1


@kernel
def nearest_marked(
    rows: Array, inner: bool, graph: Graph, node: int, entry: int, top: int, marked: Array, query: Array, tools: Scratch
) -> Any:
    """Return the node nearest to `node` among those `marked` that a search finds; the entry point if it finds none."""
    offset = load_row(rows, node, query, inner)
    room = tools.pool.shape[0]
    k_nn_search(rows, query, offset, graph, entry, top, room, room, tools)
    for j in range(room):
        if tools.pool[j] == EMPTY:
            break
        found = node_of(tools.pool[j])
        if found != node and marked[found]:
            return found
    return entry


@kernel
def add_link(ground: Array, node: int, neighbour: int) -> Any:
    """Link `node` to `neighbour`, in place of its last link where there is no room; return what that led to, or -1."""
    width = ground.shape[1]
    count = 0
    while count < width and ground[node, count] >= 0:
        count += 1
    place = min(count, width - 1)
    lost = ground[node, place]
    ground[node, place] = neighbour
    return lost


@kernel
def connect(
    rows: Array, inner: bool, graph: Graph, entry: int, top: int, n: int, query: Array, scratch: Scratch
) -> int:
    """Add links to layer 0 until each of n nodes can be reached from every other; return how many nodes got one.

    A node without a way to the entry point is linked to the nearest that has one. A node that can't be reached from
    there is linked from the nearest that can; where that one has no room, the node goes between it and its last link.
    """
    ground = graph.ground
    stack, marked = np.empty(n, np.int32), np.zeros(n, np.bool_)
    starts = np.zeros(n + 2, np.int64)
    links = 0
    for node in range(n):
        for j in range(ground.shape[1]):
            links += ground[node, j] >= 0
    sources = np.empty(links, np.int32)
    transpose(ground, n, starts, sources)
    mark_reaching(starts, sources, entry, marked, stack)
    added = 0
    for node in range(n):
        if not marked[node]:
            add_link(ground, node, nearest_marked(rows, inner, graph, node, entry, top, marked, query, scratch))
            mark_reaching(starts, sources, node, marked, stack)
            added += 1
    marked[:] = False
    mark_reached(ground, entry, marked, stack)
    for node in range(n):
        if not marked[node]:
            source = nearest_marked(rows, inner, graph, node, entry, top, marked, query, scratch)
            lost = add_link(ground, source, node)
            if lost >= 0:
                add_link(ground, node, lost)
            mark_reached(ground, node, marked, stack)
            added += 1
    return added
