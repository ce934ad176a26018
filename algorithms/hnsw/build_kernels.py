"""INSERT and SELECT-NEIGHBORS-HEURISTIC of Malkov & Yashunin (2018), in halves that any number of threads can share.

Layout and terms are those of `algorithms.hnsw.kernels`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from algorithms.hnsw.kernels import Graph, Scratch, descend, search_layer
from algorithms.kernels.codes.rows import load_row, prefetch_row, rank
from algorithms.kernels.graph.pool import EMPTY, insert_key, make_key, node_of, rank_of, sort_keys
from algorithms.kernels.jit import kernel

Array = Any


class Workbench(NamedTuple):
    """What the insertions of one thread write to, searches aside.

    `coarse_query` and `fine_query` hold the node being inserted; `chosen` (2 M,) int64 the keys of the neighbours
    chosen so far, `chosen_rows` (2 M, width) those neighbours as queries and `chosen_offsets` (2 M,) int64 their
    offsets; `keys` int64 has room for the candidates of one node's shrinking.
    """

    coarse_query: Array
    fine_query: Array
    chosen: Array
    chosen_rows: Array
    chosen_offsets: Array
    keys: Array


@kernel
def same_row(rows: Array, i: int, j: int) -> bool:
    """Return whether two rows, or their codes, are equal."""
    same = True
    for column in range(rows.shape[1]):
        if rows[i, column] != rows[j, column]:
            same = False
            break
    return same


@kernel
def copies_a_chosen_one(rows: Array, key: int, chosen: Array, found: int) -> bool:
    """Return whether a candidate is a copy of one of chosen[:found]; copies have equal ranks, which come last."""
    for j in range(found - 1, -1, -1):
        if rank_of(chosen[j]) != rank_of(key):
            return False
        if same_row(rows, node_of(key), node_of(chosen[j])):
            return True
    return False


@kernel
def select_neighbors_heuristic(
    rows: Array, base: int, keys: Array, count: int, M: int, inner: bool, work: Workbench
) -> int:
    """SELECT-NEIGHBORS-HEURISTIC, algorithm 4: choose at most M of keys[:count], ascending by distance to node `base`.

    A candidate is chosen if it is nearer to the base than to every one chosen before. Fills work.chosen[:found] and
    returns `found`. At most half of the M may be copies of the base, and of the copies of another node one is chosen: a
    crowd of copies would else take all links. A copy is at distance 0 from the other but under inner products.
    """
    chosen, queries, offsets = work.chosen, work.chosen_rows, work.chosen_offsets
    found, twins = 0, 0
    for i in range(count):
        key = keys[i]
        if found == M or key == EMPTY:
            break
        own, node = rank_of(key), node_of(key)
        if same_row(rows, node, base) if inner else own == 0:
            twins += 1
            if twins > max(1, M // 2):
                continue
        elif inner and copies_a_chosen_one(rows, key, chosen, found):
            continue
        nearer = True
        for j in range(found):
            if rank(rows, node, queries[j], offsets[j]) < own:
                nearer = False
                break
        if nearer:
            chosen[found] = key
            offsets[found] = load_row(rows, node, queries[found], inner)
            found += 1
    return found


@kernel
def rank_again(rows: Array, query: Array, offset: int, keys: Array, count: int) -> None:
    """Rank keys[:count] by other rows' distances, and sort them by it."""
    for j in range(min(3, count)):
        prefetch_row(rows, node_of(keys[j]))
    for j in range(count):
        if j + 3 < count:
            prefetch_row(rows, node_of(keys[j + 3]))
        node = node_of(keys[j])
        keys[j] = make_key(rank(rows, node, query, offset), node)
    sort_keys(keys, count)


@kernel
def join_batch(
    rows: Array, query: Array, offset: int, levels: Array, node: int, layer: int, batch: Array, ef: int, pool: Array
) -> None:
    """Let nodes batch[0]..batch[1] - 1 of a layer, which no search can reach yet, compete for places in pool[:ef]."""
    worst = rank_of(pool[ef - 1])
    for mate in range(batch[0], batch[1]):
        if levels[mate] >= layer and mate != node:
            distance = rank(rows, mate, query, offset)
            if distance < worst:
                insert_key(pool, ef, make_key(distance, mate))
                worst = rank_of(pool[ef - 1])


@kernel
def insert(
    coarse: Array,
    fine: Array,
    rotated: bool,
    inner: bool,
    graph: Graph,
    levels: Array,
    entry: int,
    top: int,
    batch: Array,
    first: int,
    stop: int,
    M: int,
    ef_construction: int,
    scratch: Scratch,
    work: Workbench,
    edges: Array,
) -> int:
    """INSERT, algorithm 1, up to its line 12: give nodes first..stop - 1 of a batch links of their own.

    The graph is only read, but for these nodes' own links, which no other node leads to: nodes of a batch may be
    inserted by any number of threads. Instead they meet by comparing all with all (`join_batch`). Searches use the rows
    `coarse`, choices the rows `fine`; where those are not the same, `rotated`. `edges` (space, 4) int64 gets a line a
    link: the matrix row where the link back belongs (-1 - row in the upper layers), the rank of its distance, its node,
    and the node to be linked back from. Returns how many.
    """
    made = 0
    pool = scratch.pool
    for node in range(first, stop):
        offset = load_row(coarse, node, work.coarse_query, inner)
        fine_offset = load_row(fine, node, work.fine_query, inner)
        level = levels[node]
        pool[:ef_construction] = EMPTY
        descend(coarse, work.coarse_query, offset, graph, entry, top, level, scratch)
        for layer in range(min(level, top), -1, -1):
            search_layer(coarse, work.coarse_query, offset, graph, layer, ef_construction, ef_construction, scratch)
            nearest = pool[0]
            join_batch(coarse, work.coarse_query, offset, levels, node, layer, batch, ef_construction, pool)
            count = 0
            while count < ef_construction and pool[count] != EMPTY:
                count += 1
            if rotated:
                rank_again(fine, work.fine_query, fine_offset, pool, count)
            found = select_neighbors_heuristic(fine, node, pool, count, M, inner, work)
            for j in range(found):
                other = node_of(work.chosen[j])
                if layer == 0:
                    graph.ground[node, j] = other
                    edges[made, 0] = other
                else:
                    graph.upper[graph.upper_row[node] + layer - 1, j] = other
                    edges[made, 0] = -1 - (graph.upper_row[other] + layer - 1)
                edges[made, 1] = rank_of(work.chosen[j])
                edges[made, 2] = node
                edges[made, 3] = other
                made += 1
            # The next layer is entered where this one was left, as the reference implementation does.
            pool[:count] = EMPTY
            pool[0] = nearest
    return made


@kernel
def link_back(rows: Array, inner: bool, graph: Graph, edges: Array, scratch: Scratch, work: Workbench) -> None:
    """INSERT, algorithm 1, from its line 13 on: add the links back of `edges`, and shrink where they are too many.

    `edges` (m, 4), as `insert` made them, hold all of a row's lines together; no two threads may get lines of one row.
    """
    at, m = 0, edges.shape[0]
    while at < m:
        place, base = edges[at, 0], edges[at, 3]
        links = graph.ground if place >= 0 else graph.upper
        row = place if place >= 0 else -1 - place
        width = links.shape[1]
        own = 0
        while own < width and links[row, own] >= 0:
            own += 1
        count = own
        while at < m and edges[at, 0] == place:
            # Two nodes of one batch may have chosen each other.
            known = False
            for j in range(own):
                known |= links[row, j] == edges[at, 2]
            if not known:
                work.keys[count] = make_key(edges[at, 1], edges[at, 2])
                count += 1
            at += 1
        if count <= width:
            for j in range(own, count):
                links[row, j] = node_of(work.keys[j])
            continue
        offset = load_row(rows, base, work.fine_query, inner)
        scratch.counters[0] += own
        for j in range(own):
            prefetch_row(rows, links[row, j])
        for j in range(own):
            work.keys[j] = make_key(rank(rows, links[row, j], work.fine_query, offset), links[row, j])
        sort_keys(work.keys, count)
        found = select_neighbors_heuristic(rows, base, work.keys, count, width, inner, work)
        for j in range(width):
            links[row, j] = node_of(work.chosen[j]) if j < found else -1
