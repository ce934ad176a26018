"""Room for the links of a graph: made, enlarged, renumbered."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.hnsw.kernels import Graph

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


def with_room(array: NDArray[Any], n: int, added: NDArray[Any]) -> NDArray[Any]:
    """Put `added` behind the array's first n rows: in place, or in a copy with an eighth to spare."""
    total = n + len(added)
    if total > len(array):
        larger = np.empty((total + total // 8, *array.shape[1:]), array.dtype)
        larger[:n] = array[:n]
        array = larger
    array[n:total] = added
    return array


def renumber(graph: Graph, places: NDArray[np.int32]) -> Graph:
    """Return the graph with node places[i] as node i."""
    new = np.empty(len(places) + 1, np.int32)
    new[places] = np.arange(len(places), dtype=np.int32)
    new[-1] = -1  # what an unused place, -1, becomes
    return Graph(new[graph.ground[places]], new[graph.upper], graph.upper_row[places])


def links(graph: Graph, ids: NDArray[np.int32]) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Return layer 0 in the form of sparse rows, by id: the neighbours of i are indices[indptr[i]:indptr[i + 1]]."""
    n = len(ids)
    by_id = np.full((n, graph.ground.shape[1]), -1, np.int32)
    named = np.append(ids, np.int32(-1))
    by_id[ids] = named[graph.ground[:n]]
    used = by_id >= 0
    indptr = np.zeros(n + 1, np.int64)
    np.cumsum(used.sum(axis=1), out=indptr[1:])
    return indptr, by_id[used]
