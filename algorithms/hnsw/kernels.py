"""The algorithms of Malkov & Yashunin (2018, IEEE TPAMI 42(4)) over arrays, each under the paper's name.

Links lie in two matrices of int32: `ground` (n, 2 M) holds layer 0, `upper` (rows, M) the layers above, where layer l
of a node is row `upper_row[node] + l - 1`. Unused places at a row's end hold -1. Distances are ranks and candidates are
keys, both as in `algorithms.kernels.graph.pool`; rows are float32 or codes, as in `algorithms.kernels.codes.rows`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from algorithms.kernels.codes.rows import prefetch_row, rank
from algorithms.kernels.graph.pool import EMPTY, insert_key, make_key, node_of, rank_of
from algorithms.kernels.graph.visited import next_generation
from algorithms.kernels.jit import kernel
from algorithms.kernels.simd.instructions import prefetch

Array = Any


DISTANCES, HOPS = 0, 1
"""Places in `Scratch.counters`: distances computed, and nodes expanded."""


class Graph(NamedTuple):
    """The links of all layers."""

    ground: Array
    upper: Array
    upper_row: Array


class Scratch(NamedTuple):
    """What the searches of one thread write to.

    `pool` int64 holds the nearest nodes found so far, sorted, in its first places, as many as a search has room for;
    `visited` (n + 1,) uint8 are the stamps of visited nodes (`algorithms.kernels.graph.visited`); `fresh` (2 M,) int32
    holds the unvisited neighbours of the node being expanded; `counters` (2,) int64 counts distances and hops.
    """

    pool: Array
    visited: Array
    fresh: Array
    counters: Array


@kernel
def search_layer(
    rows: Array, query: Array, offset: int, graph: Graph, layer: int, ef: int, room: int, scratch: Scratch
) -> None:
    """SEARCH-LAYER, algorithm 2: find the `ef` nodes of a layer that are nearest to the query.

    On entry pool[:room] holds the entry points, on return the nodes found. The paper's two heaps are one sorted pool
    here: C, the candidates, are those of the first `ef` keys that aren't yet marked as expanded. What lies behind them,
    up to `room`, has been seen all the same: to keep it costs an insertion.
    """
    pool, visited, fresh = scratch.pool, scratch.visited, scratch.fresh
    links = graph.ground if layer == 0 else graph.upper
    stamp = next_generation(visited)
    at = 0
    while at < room and pool[at] != EMPTY:
        visited[node_of(pool[at])] = stamp
        pool[at] &= ~1
        at += 1
    worst = rank_of(pool[room - 1])
    distances, hops = 0, 0
    # Every key before `at` has been expanded.
    at = 0
    while at < ef:
        key = pool[at]
        if key & 1:
            at += 1
            continue
        pool[at] = key | 1
        node = node_of(key)
        row = node if layer == 0 else graph.upper_row[node] + layer - 1
        count = 0
        for j in range(links.shape[1]):
            neighbour = links[row, j]
            if neighbour < 0:
                break
            if visited[neighbour] != stamp:
                visited[neighbour] = stamp
                fresh[count] = neighbour
                count += 1
                # Two lines of each are under way at once; longer rows follow one by one below.
                prefetch(rows, neighbour, 0)
                prefetch(rows, neighbour, 64)
        at += 1
        if at < ef and layer == 0:
            # The next in line is most often the next to be expanded: its links arrive while distances are computed.
            following = node_of(pool[at])
            prefetch(links, following, 0)
            prefetch(links, following, 64)
        hops += 1
        distances += count
        for j in range(count):
            if rows.strides[0] > 128 and j + 1 < count:
                prefetch_row(rows, fresh[j + 1])
            distance = rank(rows, fresh[j], query, offset)
            if distance < worst:
                at = min(at, insert_key(pool, room, make_key(distance, fresh[j])))
                worst = rank_of(pool[room - 1])
    scratch.counters[DISTANCES] += distances
    scratch.counters[HOPS] += hops


@kernel
def descend(
    rows: Array, query: Array, offset: int, graph: Graph, entry: int, top: int, bottom: int, scratch: Scratch
) -> None:
    """Go greedily (ef = 1) from layer `top` down to the one above `bottom`; the node reached is left in pool[0]."""
    scratch.pool[0] = make_key(rank(rows, entry, query, offset), entry)
    scratch.counters[DISTANCES] += 1
    for layer in range(top, bottom, -1):
        search_layer(rows, query, offset, graph, layer, 1, 1, scratch)


@kernel
def k_nn_search(
    rows: Array, query: Array, offset: int, graph: Graph, entry: int, top: int, ef: int, room: int, scratch: Scratch
) -> None:
    """K-NN-SEARCH, algorithm 5: leave the nearest nodes found in pool[:room], ascending; `ef` of them are expanded."""
    scratch.pool[:room] = EMPTY
    descend(rows, query, offset, graph, entry, top, 0, scratch)
    search_layer(rows, query, offset, graph, 0, ef, room, scratch)


@kernel
def breadth_first(ground: Array, entry: int, n: int, order: Array) -> None:
    """Fill `order` (n,) int32 with the nodes as a breadth-first walk over layer 0 meets them, unreachable ones last.

    Renumbered so, neighbours lie near each other in memory (Coleman et al. 2021, arXiv 2104.03221, compare orders).
    """
    met = np.zeros(n, np.bool_)
    head, tail, unmet = 0, 0, 0
    start = entry
    while tail < n:
        order[tail] = start
        met[start] = True
        tail += 1
        while head < tail:
            node = order[head]
            head += 1
            for j in range(ground.shape[1]):
                neighbour = ground[node, j]
                if neighbour < 0:
                    break
                if not met[neighbour]:
                    met[neighbour] = True
                    order[tail] = neighbour
                    tail += 1
        while unmet < n and met[unmet]:
            unmet += 1
        start = unmet
