"""Room for the links of a graph: made, enlarged, renumbered."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from algorithms.hnsw.kernels import Graph
from algorithms.hnsw.room import with_room
from algorithms.kernels.saved import check_array

Levels = NDArray[np.int32]


def draw_levels(rng: np.random.Generator, n: int, M: int) -> Levels:
    """Draw the top layer of each of n nodes, floor(-ln(uniform) / ln(M)): (n,) int32."""
    levels: Levels = np.floor(-np.log(1.0 - rng.random(n)) / np.log(M)).astype(np.int32)
    return levels


def allocate_graph(levels: Levels, M: int) -> Graph:
    """Return a graph without links, of nodes with the given top layers (n,)."""
    ends = np.cumsum(levels, dtype=np.int64)
    ground = np.full((len(levels), 2 * M), -1, np.int32)
    upper = np.full((int(ends[-1]) if len(levels) else 0, M), -1, np.int32)
    return Graph(ground, upper, (ends - levels).astype(np.int32))


def enlarge_graph(graph: Graph, n: int, levels: Levels, M: int) -> Graph:
    """Return the graph of n nodes with room for more: `levels` (n + m,) holds the top layers of the new m from n on."""
    added = allocate_graph(levels[n:], M)
    return Graph(
        with_room(graph.ground, n, added.ground),
        np.concatenate([graph.upper, added.upper]),
        with_room(graph.upper_row, n, added.upper_row + np.int32(len(graph.upper))),
    )


def check_graph(graph: Graph, n: int, M: int, entry: int, top: int) -> None:
    """Raise ValueError where arrays can't be the graph of n nodes: for those that come from elsewhere."""
    check_array("ground", graph.ground, np.int32, (n, 2 * M))
    check_array("upper", graph.upper, np.int32, (len(graph.upper), M))
    check_array("upper_row", graph.upper_row, np.int32, (n,))
    for array in (graph.ground, graph.upper):
        if not -1 <= array.min(initial=-1) <= array.max(initial=-1) < max(n, 1):
            raise ValueError(f"links lead to nodes that are not among the {n}")
    rows = len(graph.upper)
    if not n:
        return
    if not (entry < n and graph.upper_row.min() >= 0 and graph.upper_row.max() <= rows):
        raise ValueError(f"the entry point or an upper layer lies beyond the {n} nodes")
    # The rows of a node go from its first to the next node's first. A search goes from a row of layer l to the rows of
    # layer l of the nodes linked there: all of them must have so many.
    starts = np.append(np.unique(graph.upper_row), rows)
    levels = starts[np.minimum(np.searchsorted(starts, graph.upper_row, "right"), len(starts) - 1)] - graph.upper_row
    row = np.arange(rows)
    layers = row - starts[np.searchsorted(starts, row, "right") - 1] + 1
    linked = graph.upper >= 0
    if levels[entry] < top or (levels[graph.upper] < layers[:, None])[linked].any():
        raise ValueError("links of an upper layer lead to nodes that are not part of it")


def renumber(graph: Graph, places: NDArray[np.int32]) -> Graph:
    """Return the graph with node places[i] as node i."""
    new = np.empty(len(places) + 1, np.int32)
    new[places] = np.arange(len(places), dtype=np.int32)
    new[-1] = -1  # what an unused place, -1, becomes
    return Graph(new[graph.ground[places]], new[graph.upper], graph.upper_row[places])


def links(
    graph: Graph, ids: NDArray[np.int32], starts: NDArray[np.int64] | None = None
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return layer 0 in the form of sparse rows, by id: the neighbours of i are indices[indptr[i]:indptr[i + 1]].

    `ids` and `starts` are those of `copies.Groups`: of the ids that one node stands for, the first has the node's
    neighbours, and the others have the first.
    """
    firsts = np.arange(len(ids)) if starts is None or not len(starts) else starts[:-1]
    leaders = ids[firsts]
    n = len(leaders)
    by_id = np.full((len(ids), graph.ground.shape[1]), -1, np.int32)
    named = np.append(leaders, np.int32(-1))
    if n < len(ids):
        by_id[ids, 0] = np.repeat(leaders, np.diff(firsts, append=len(ids)))
    by_id[leaders] = named[graph.ground[:n]]
    used = by_id >= 0
    indptr = np.zeros(len(ids) + 1, np.int64)
    np.cumsum(used.sum(axis=1), out=indptr[1:])
    return indptr, by_id[used]
