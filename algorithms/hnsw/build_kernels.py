"""INSERT and SELECT-NEIGHBORS-HEURISTIC of Malkov & Yashunin (2018), in halves that any number of threads can share.

Layout and terms are those of `algorithms.hnsw.kernels`.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from algorithms.hnsw.kernels import DISTANCES, Graph, Scratch, descend, search_layer
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


class Insertion(NamedTuple):
    """What inserting the nodes of one batch is about.

    Searches use the rows `coarse`, choices of neighbours the rows `fine`; where those are not the same, `rotated`.
    Ranks are inner products if `inner`. `levels` (n,) int32 is the highest level of each node; `entry` is the entry
    point, and `top` its level. The batch is the nodes from `first` to `stop` - 1, which no search can reach yet.
    """

    coarse: Array
    fine: Array
    rotated: bool
    inner: bool
    graph: Graph
    levels: Array
    entry: int
    top: int
    first: int
    stop: int
    M: int
    ef_construction: int


ROW, RANK, NODE, NEIGHBOUR = 0, 1, 2, 3
"""Columns of edges.

`ROW` is the row of links where the link back belongs: of the ground level, or -1 - row of the upper ones. `RANK` is the
rank of the distance, `NODE` the node that was inserted, and `NEIGHBOUR` the one that is to be linked back to it.
"""


@kernel
def join_batch(task: Insertion, query: Array, offset: int, node: int, level: int, pool: Array) -> None:
    """Let the other nodes of the batch on a level compete for places in pool[:ef_construction]."""
    ef = task.ef_construction
    worst = rank_of(pool[ef - 1])
    for mate in range(task.first, task.stop):
        if task.levels[mate] >= level and mate != node:
            distance = rank(task.coarse, mate, query, offset)
            if distance < worst:
                insert_key(pool, ef, make_key(distance, mate))
                worst = rank_of(pool[ef - 1])


@kernel
def write_links(graph: Graph, node: int, level: int, chosen: Array, edges: Array, made: int) -> Any:
    """Link a node on a level to the `chosen` keys, and append the edges for the links back; return how many are made.

    `made` edges were there before.
    """
    for j in range(chosen.shape[0]):
        neighbour = node_of(chosen[j])
        if level == 0:
            graph.ground[node, j] = neighbour
            edges[made, ROW] = neighbour
        else:
            graph.upper[graph.upper_row[node] + level - 1, j] = neighbour
            edges[made, ROW] = -1 - (graph.upper_row[neighbour] + level - 1)
        edges[made, RANK] = rank_of(chosen[j])
        edges[made, NODE] = node
        edges[made, NEIGHBOUR] = neighbour
        made += 1
    return made


@kernel
def insert(task: Insertion, start: int, end: int, scratch: Scratch, work: Workbench, edges: Array) -> int:
    """INSERT, algorithm 1, up to its line 12: give nodes start..end - 1 of a batch links of their own.

    The graph is only read, but for these nodes' own links, which no other node leads to: nodes of a batch may be
    inserted by any number of threads. Instead they meet by comparing all with all (`join_batch`). Fills `edges`
    (space, 4) int64, a line a link, and returns how many.
    """
    made = 0
    pool, ef, graph, query = scratch.pool, task.ef_construction, task.graph, work.coarse_query
    for node in range(start, end):
        offset = load_row(task.coarse, node, query, task.inner)
        fine_offset = load_row(task.fine, node, work.fine_query, task.inner)
        level = task.levels[node]
        pool[:ef] = EMPTY
        descend(task.coarse, query, offset, graph, task.entry, task.top, level, scratch)
        for layer in range(min(level, task.top), -1, -1):
            search_layer(task.coarse, query, offset, graph, layer, ef, ef, scratch)
            nearest = pool[0]
            join_batch(task, query, offset, node, layer, pool)
            count = 0
            while count < ef and pool[count] != EMPTY:
                count += 1
            if task.rotated:
                rank_again(task.fine, work.fine_query, fine_offset, pool, count)
            found = select_neighbors_heuristic(task.fine, node, pool, count, task.M, task.inner, work)
            made = write_links(graph, node, layer, work.chosen[:found], edges, made)
            # The next level is entered where this one was left, as the reference implementation does.
            pool[:count] = EMPTY
            pool[0] = nearest
    return made


@kernel
def count_links(links: Array, row: int) -> Any:
    """Return how many links a row holds: unused places come last."""
    count = 0
    while count < links.shape[1] and links[row, count] >= 0:
        count += 1
    return count


@kernel
def new_neighbours(edges: Array, links: Array, row: int, own: int, keys: Array) -> Any:
    """Write the keys of the nodes that `edges`, all of one row, link back to behind keys[:own]; return the new count.

    Left out are those that the first `own` links lead to already: two nodes of a batch may have chosen each other.
    """
    count = own
    for i in range(edges.shape[0]):
        known = False
        for j in range(own):
            known |= links[row, j] == edges[i, NODE]
        if not known:
            keys[count] = make_key(edges[i, RANK], edges[i, NODE])
            count += 1
    return count


@kernel
def shrink(
    rows: Array, inner: bool, base: int, links: Array, row: int, own: int, count: int, counters: Array, work: Workbench
) -> None:
    """Choose the links of node `base` anew: from the first `own` of its row, and from the keys behind work.keys[:own].

    There are `count` in all.
    """
    offset = load_row(rows, base, work.fine_query, inner)
    counters[DISTANCES] += own
    for j in range(own):
        prefetch_row(rows, links[row, j])
    for j in range(own):
        work.keys[j] = make_key(rank(rows, links[row, j], work.fine_query, offset), links[row, j])
    sort_keys(work.keys, count)
    width = links.shape[1]
    found = select_neighbors_heuristic(rows, base, work.keys, count, width, inner, work)
    for j in range(width):
        links[row, j] = node_of(work.chosen[j]) if j < found else -1


@kernel
def link_back(rows: Array, inner: bool, graph: Graph, edges: Array, scratch: Scratch, work: Workbench) -> None:
    """INSERT, algorithm 1, from its line 13 on: add the links back of `edges`, and shrink where they are too many.

    `edges` (m, 4), as `insert` made them, hold all of a row's lines together; no two threads may get lines of one row.
    """
    start, m = 0, edges.shape[0]
    while start < m:
        stop = start
        while stop < m and edges[stop, ROW] == edges[start, ROW]:
            stop += 1
        place, base = edges[start, ROW], edges[start, NEIGHBOUR]
        links = graph.ground if place >= 0 else graph.upper
        row = place if place >= 0 else -1 - place
        own = count_links(links, row)
        count = new_neighbours(edges[start:stop], links, row, own, work.keys)
        if count <= links.shape[1]:
            for j in range(own, count):
                links[row, j] = node_of(work.keys[j])
        else:
            shrink(rows, inner, base, links, row, own, count, scratch.counters, work)
        start = stop
