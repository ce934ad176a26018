"""The links of a graph as arrays: levels, room for more nodes, other numbers, and sparse rows."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from algorithms.hnsw.graph import allocate_graph, draw_levels, enlarge_graph, links, renumber, with_room
from algorithms.hnsw.kernels import Graph

M = 3


def random_graph(n, seed=0, spare=0):
    """Return levels and a graph whose links are drawn at random, those of a layer among the nodes that reach it."""
    rng = np.random.default_rng(seed)
    levels = rng.integers(0, 4, n).astype(np.int32)
    graph = allocate_graph(levels, M)
    for node in range(n):
        for layer in range(levels[node] + 1):
            others = np.flatnonzero((levels >= layer) & (np.arange(n) != node))
            width = M if layer else 2 * M
            count = int(rng.integers(0, min(width, len(others)) + 1))
            row = graph.upper[graph.upper_row[node] + layer - 1] if layer else graph.ground[node]
            row[:count] = rng.choice(others, count, replace=False)
    return levels, graph


def edges(graph, levels):
    """List (layer, node, neighbours in their order) of every node in every layer that it reaches."""
    found = []
    for node, level in enumerate(levels):
        for layer in range(level + 1):
            row = graph.upper[graph.upper_row[node] + layer - 1] if layer else graph.ground[node]
            found.append((layer, node, row[row >= 0].tolist()))
    return found


@pytest.mark.parametrize("width", [2, 5, 16, 48])
def test_levels_thin_out_by_a_factor_of_m(width):
    """The share of nodes that reach layer l is M^-l, within what 200,000 draws allow."""
    n = 200_000
    levels = draw_levels(np.random.default_rng(width), n, width)
    assert levels.dtype == np.int32
    assert levels.min() == 0
    for layer in range(1, 8):
        low, high = stats.binom.interval(1 - 1e-6, n, float(width) ** -layer)
        assert low <= (levels >= layer).sum() <= high


@pytest.mark.parametrize("levels", [[], [0], [2], [0, 3, 0, 1]])
def test_a_new_graph_has_a_row_for_every_layer_and_no_links(levels):
    """Rows of the upper layers are disjoint and fill their matrix exactly; every place is unused."""
    graph = allocate_graph(np.array(levels, np.int32), M)
    rows = [graph.upper_row[node] + layer for node, level in enumerate(levels) for layer in range(level)]
    assert rows == list(range(len(graph.upper)))
    assert graph.ground.shape == (len(levels), 2 * M)
    assert graph.upper.shape[1] == M
    assert (graph.ground == -1).all()
    assert (graph.upper == -1).all()


def test_a_larger_graph_keeps_its_links():
    """Steps of any size leave the links of all nodes as they were, and the new ones have rows of their own."""
    levels, graph = random_graph(30)
    before = edges(graph, levels)
    for step, more in enumerate((0, 1, 2, 40, 3)):
        n = len(levels)
        levels = np.append(levels, np.random.default_rng(step).integers(0, 3, more)).astype(np.int32)
        graph = enlarge_graph(graph, n, levels, M)
        assert len(graph.ground) >= len(levels)
        assert graph.ground.dtype == graph.upper.dtype == graph.upper_row.dtype == np.int32
        now = edges(graph, levels)
        assert now[: len(before)] == before
        assert all(neighbours == [] for _, _, neighbours in now[len(before) :])
        # Links of a new node must not show up at any other: its rows are its own.
        for node in range(n, len(levels)):
            graph.ground[node, 0] = node - 1
            for layer in range(1, levels[node] + 1):
                graph.upper[graph.upper_row[node] + layer - 1, 0] = node - 1
        before = now[: len(before)] + [(layer, node, [node - 1]) for layer, node, _ in now[len(before) :]]
        assert edges(graph, levels) == before


def test_room_is_made_for_an_eighth_more():
    """An array that must grow leaves its old memory alone; one with room to spare is filled in place."""
    old = np.arange(8)
    grown = with_room(old, 8, np.array([8]))
    assert grown[:9].tolist() == list(range(9))
    assert len(grown) == 10
    assert with_room(grown, 9, np.array([9])) is grown
    assert old.tolist() == list(range(8))
    assert with_room(grown, 10, np.array([], int)) is grown


@pytest.mark.parametrize("n", [1, 2, 40])
def test_renumbering_gives_an_isomorphic_graph(n):
    """In every layer, a link from a to b becomes one between their new numbers, in the same place of the row."""
    levels, graph = random_graph(n)
    places = np.random.default_rng(1).permutation(n).astype(np.int32)
    new_number = np.argsort(places)
    expected = [
        (layer, int(new_number[node]), new_number[neighbours].tolist() if neighbours else [])
        for layer, node, neighbours in edges(graph, levels)
    ]
    kept = Graph(*(array.copy() for array in graph))
    found = edges(renumber(graph, places), levels[places])
    assert sorted(found) == sorted(expected)
    for before, after in zip(kept, graph, strict=True):
        np.testing.assert_array_equal(before, after)


def test_links_are_sparse_rows_by_id():
    """Row i lists the ids of the neighbours of id i, whatever its node; spare room at the end is no node."""
    _, graph = random_graph(12)
    graph = enlarge_graph(graph, 12, np.zeros(13, np.int32), M)  # makes room for more than 13 nodes
    ids = np.random.default_rng(2).permutation(13).astype(np.int32)
    indptr, indices = links(graph, ids)
    assert len(graph.ground) > 13
    assert indptr.shape == (14,)
    assert indptr[-1] == len(indices)
    for node in range(13):
        row = graph.ground[node]
        assert indices[indptr[ids[node]] : indptr[ids[node] + 1]].tolist() == ids[row[row >= 0]].tolist()


def test_no_links_of_no_nodes():
    """An empty graph has one bound and no links."""
    indptr, indices = links(allocate_graph(np.empty(0, np.int32), M), np.empty(0, np.int32))
    assert indptr.tolist() == [0]
    assert len(indices) == 0
