"""The algorithms of Malkov & Yashunin (2018, IEEE TPAMI 42(4)) over arrays, each under the paper's name.

Links lie in two matrices of int32: `ground` (n, 2 M) holds layer 0, `upper` (rows, M) the layers above, where layer l
of a node is row `upper_row[node] + l - 1`. Unused places at a row's end hold -1. Distances are ranks and candidates are
keys, both as in `algorithms.kernels.pool`; rows are float32 or codes, as in `algorithms.kernels.codes`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from algorithms.kernels.codes import encode_query, float_rank, prefetch_row, rank
from algorithms.kernels.jit import kernel
from algorithms.kernels.pool import EMPTY, insert_key, make_key, node_of, rank_of
from algorithms.kernels.simd import prefetch
from algorithms.kernels.visited import next_generation

Array = Any


class Graph(NamedTuple):
    """The links of all layers."""

    ground: Array
    upper: Array
    upper_row: Array


class Scratch(NamedTuple):
    """What the searches of one thread write to.

    `pool` (ef + k,) int64 holds the nearest nodes found so far, sorted, and behind them the answer as it is ranked
    again; `visited` (n + 1,) uint8 are the stamps of nodes seen (`algorithms.kernels.visited`); `fresh` (2 M,) int32
    holds the neighbours of the node being expanded that had not been seen; `counters` (2,) int64 counts distances and
    hops.
    """

    pool: Array
    visited: Array
    fresh: Array
    counters: Array


@kernel
def search_layer(rows: Array, query: Array, offset: int, graph: Graph, layer: int, ef: int, scratch: Scratch) -> None:
    """SEARCH-LAYER, algorithm 2: find the `ef` nodes of a layer that are nearest to the query.

    On entry pool[:ef] holds the entry points, on return the nodes found. The paper's two heaps are one sorted pool
    here: C, the candidates, are the keys in it not yet marked as expanded.
    """
    pool, visited, fresh = scratch.pool, scratch.visited, scratch.fresh
    links = graph.ground if layer == 0 else graph.upper
    stamp = next_generation(visited)
    at = 0
    while at < ef and pool[at] != EMPTY:
        visited[node_of(pool[at])] = stamp
        pool[at] &= ~1
        at += 1
    worst = rank_of(pool[ef - 1])
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
                at = min(at, insert_key(pool, ef, make_key(distance, fresh[j])))
                worst = rank_of(pool[ef - 1])
    scratch.counters[0] += distances
    scratch.counters[1] += hops


@kernel
def descend(
    rows: Array, query: Array, offset: int, graph: Graph, entry: int, top: int, bottom: int, scratch: Scratch
) -> None:
    """Go greedily (ef = 1) from layer `top` down to the one above `bottom`; the node reached is left in pool[0]."""
    scratch.pool[0] = make_key(rank(rows, entry, query, offset), entry)
    scratch.counters[0] += 1
    for layer in range(top, bottom, -1):
        search_layer(rows, query, offset, graph, layer, 1, scratch)


@kernel
def k_nn_search(
    rows: Array, query: Array, offset: int, graph: Graph, entry: int, top: int, ef: int, scratch: Scratch
) -> None:
    """K-NN-SEARCH, algorithm 5: leave the `ef` nearest nodes found in pool[:ef], ascending."""
    scratch.pool[:ef] = EMPTY
    descend(rows, query, offset, graph, entry, top, 0, scratch)
    search_layer(rows, query, offset, graph, 0, ef, scratch)


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


@kernel
def prepare_query(query: Array, length: float, out: Array) -> None:
    """Copy a query (dim,) into `out`, scaled to `length` where that isn't 0."""
    factor = 1.0
    if length > 0.0:
        squares = 0.0
        for j in range(query.shape[0]):
            squares += np.float64(query[j]) * np.float64(query[j])
        if squares > 0.0:
            factor = length / np.sqrt(squares)
    for j in range(query.shape[0]):
        out[j] = np.float32(query[j] * factor)


@kernel
def write_ids(pool: Array, ids: Array, answer: Array) -> None:
    """Fill `answer` (k,) int64 with the ids of the first k keys, -1 where there are fewer."""
    for j in range(answer.shape[0]):
        if j < pool.shape[0] and pool[j] != EMPTY:
            answer[j] = ids[node_of(pool[j])]
        else:
            answer[j] = -1


@kernel
def search_floats(
    rows: Array,
    inner: bool,
    graph: Graph,
    ids: Array,
    entry: int,
    top: int,
    length: float,
    queries: Array,
    ef: int,
    query: Array,
    scratch: Scratch,
    answers: Array,
) -> None:
    """Answer `queries` (m, dim) over float32 rows: `answers` (m, k) int64."""
    offset = 1 if inner else 0
    for i in range(queries.shape[0]):
        prepare_query(queries[i], length, query)
        k_nn_search(rows, query, offset, graph, entry, top, ef, scratch)
        write_ids(scratch.pool[:ef], ids, answers[i])


@kernel
def search_codes(
    codes: Array,
    inner: bool,
    exact: Array,
    exact_inner: bool,
    low: float,
    mean: Array,
    basis: Array,
    scale: float,
    graph: Graph,
    ids: Array,
    entry: int,
    top: int,
    length: float,
    queries: Array,
    ef: int,
    query: Array,
    centred: Array,
    code_query: Array,
    scratch: Scratch,
    answers: Array,
) -> None:
    """Answer `queries` (m, dim) over codes: `answers` (m, k) int64.

    The nodes that a search over the codes leaves in the pool are ranked again by the rows `exact` (n, dim), if it has
    any: float32, or uint8 to which `low` must be added, which inner products need not do: it moves all alike.
    """
    k = answers.shape[1]
    for i in range(queries.shape[0]):
        prepare_query(queries[i], length, query)
        offset = encode_query(query, inner, mean, basis, scale, centred, code_query)
        k_nn_search(codes, code_query, offset, graph, entry, top, ef, scratch)
        pool = scratch.pool
        if exact.shape[0] == 0:
            write_ids(pool[:ef], ids, answers[i])
            continue
        for j in range(query.shape[0]):
            centred[j] = query[j] if exact_inner else query[j] - np.float32(low)
        best = pool[ef : ef + k]
        best[:] = EMPTY
        for j in range(min(3, ef)):
            if pool[j] != EMPTY:
                prefetch_row(exact, node_of(pool[j]))
        for j in range(ef):
            if pool[j] == EMPTY:
                break
            if j + 3 < ef and pool[j + 3] != EMPTY:
                prefetch_row(exact, node_of(pool[j + 3]))
            node = node_of(pool[j])
            key = make_key(float_rank(exact, node, centred, exact_inner), node)
            if key < best[k - 1]:
                insert_key(best, k, key)
        write_ids(best, ids, answers[i])
