"""The graph index: what it finds, that it is the same every time, that it grows, and what it refuses."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from algorithms.brute_force import BruteForce
from algorithms.hnsw import HNSW
from algorithms.hnsw import kernels as hnsw_kernels
from algorithms.hnsw.build import allocate_query, allocate_scratch
from algorithms.hnsw.graph import allocate_graph, links, renumber
from harness.core.errors import ParameterError
from harness.data.metric import Metric, neighbour_distances

INTERPRETED = bool(numba.config.DISABLE_JIT)  # a hundred times slower: fewer rows do

METRICS = [Metric.EUCLIDEAN, Metric.ANGULAR, Metric.IP][:: 2 if INTERPRETED else 1]
STORAGES = [
    {"storage": "float32"},
    {"storage": "sq8"},
    {"storage": "sq8", "rerank": False},
    {"storage": "sq8", "n_components": 12},
]


def clustered(n, dim, seed=0):
    """Draw rows around 20 centres, of lengths that differ, as embeddings have."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((20, dim))
    rows = centres[rng.integers(20, size=n)] + 0.6 * rng.standard_normal((n, dim))
    return (rows * rng.lognormal(0.0, 0.2, (n, 1))).astype(np.float32)


def recall(metric, train, queries, ids, k=10):
    """Return the share of returned neighbours that are no farther than the k-th nearest."""
    exact = BruteForce(metric)
    exact.fit(train)
    kth = exact.nearest(queries, k)[1][:, -1:]
    found = neighbour_distances(metric, queries, train, ids)
    return float((found <= kth + 1e-5 * np.abs(kth) + 1e-9).mean())


def built(metric, train, **parameters):
    """Return an index over `train`."""
    index = HNSW(metric, **{"ef_construction": 60, **parameters})
    index.fit(train)
    return index


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("parameters", STORAGES, ids=str)
def test_finds_nearly_all_neighbours(metric, parameters):
    """Every storage reaches a high recall under every metric, one query a call and all at once alike."""
    train, queries = clustered(300 if INTERPRETED else 1500, 40), clustered(40, 40, seed=1)
    index = built(metric, train, **parameters)
    search = index.searcher(ef=80)
    ids = search(queries, 10)
    np.testing.assert_array_equal(ids, np.concatenate([search(q[None], 10) for q in queries]))
    np.testing.assert_array_equal(ids, index.searcher(ef=80, threads=2)(queries, 10))
    rough = not parameters.get("rerank", True)
    assert recall(metric, train, queries, ids) > (0.85 if rough else 0.95)
    if not rough:
        away = neighbour_distances(metric, queries, train, ids)
        assert (np.diff(away, axis=1) >= -1e-5 * np.abs(away[:, 1:])).all()


@pytest.mark.parametrize("parameters", STORAGES, ids=str)
def test_builds_the_same_on_any_number_of_threads(parameters):
    """Batches see the graph as it was, so that links don't depend on who comes first."""
    train = clustered(300 if INTERPRETED else 1300, 16)
    one, three = HNSW(Metric.EUCLIDEAN, **parameters), HNSW(Metric.EUCLIDEAN, **parameters)
    one.fit(train, threads=1)
    three.fit(train, threads=3)
    for left, right in zip(one.graph(), three.graph(), strict=True):
        np.testing.assert_array_equal(left, right)


def test_a_seed_gives_one_graph():
    """The same seed gives the same links, another one others."""
    train = clustered(150 if INTERPRETED else 400, 8)
    same, again, other = (built(Metric.EUCLIDEAN, train, seed=seed).graph()[1] for seed in (3, 3, 4))
    np.testing.assert_array_equal(same, again)
    assert same.shape != other.shape or (same != other).any()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("parameters", STORAGES, ids=str)
def test_grows(metric, parameters):
    """Rows that were added are found as those of the first build are, in several steps and from nothing."""
    first, n = (200, 340) if INTERPRETED else (700, 1200)
    train, queries = clustered(n, 24), clustered(30, 24, seed=1)
    index = built(metric, train[:0], **parameters)
    for start, stop in ((0, first), (first, first + 1), (first + 1, n)):
        index.add(train[start:stop], threads=2)
    ids = index.searcher(ef=100)(queries, 10)
    assert recall(metric, train, queries, ids) > (0.8 if not parameters.get("rerank", True) else 0.9)
    assert ids.max() > first + 1


def test_grows_beyond_whole_numbers():
    """Rows kept as bytes become floats when a row arrives that bytes can't hold."""
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 256, (300, 10)).astype(np.float32)
    index = built(Metric.EUCLIDEAN, whole)
    before = index.index_bytes()
    odd = np.full((1, 10), 0.5, np.float32)
    index.add(odd)
    assert index.searcher(ef=20)(odd, 1)[0, 0] == 300
    assert index.searcher(ef=20)(whole[7:8], 1)[0, 0] == 7
    assert index.index_bytes() > before + 300 * 10 * 2


@pytest.mark.parametrize("parameters", STORAGES, ids=str)
@pytest.mark.parametrize("metric", METRICS)
def test_saved_and_loaded(metric, parameters, tmp_path):
    """A loaded index answers as the saved one does, and can still grow."""
    n = 150 if INTERPRETED else 500
    train, queries = clustered(n, 20), clustered(20, 20, seed=1)
    index = built(metric, train, **parameters)
    index.save(tmp_path / "index")
    loaded = HNSW(metric)
    loaded.load(tmp_path / "index")
    np.testing.assert_array_equal(loaded.searcher(ef=30)(queries, 5), index.searcher(ef=30)(queries, 5))
    assert loaded.index_bytes() == index.index_bytes()
    loaded.add(queries)
    ids = loaded.searcher(ef=60)(queries, 1)
    if metric is not Metric.IP and parameters.get("rerank", True):
        np.testing.assert_array_equal(ids[:, 0], np.arange(n, n + 20))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("parameters", STORAGES, ids=str)
@pytest.mark.parametrize(("n", "dim"), [(0, 3), (1, 1), (2, 1), (9, 7), (40, 65)])
def test_odd_shapes(metric, parameters, n, dim):
    """Few rows and odd dimensions give every row once, and -1 where there are no more."""
    train, queries = clustered(n, dim), clustered(3, dim, seed=1)
    ids = built(metric, train, **parameters).searcher(ef=50)(queries, 12)
    assert ids.shape == (3, 12)
    for row in ids:
        found = row[row >= 0]
        assert len(set(found)) == len(found)
        assert len(found) == min(n, 12)


def test_crowds_of_duplicates_stay_connected():
    """More copies of a row than a node has links don't cut the graph into pieces."""
    rng = np.random.default_rng(0)
    copies = 60 if INTERPRETED else 150
    places = rng.standard_normal((12, 6)).astype(np.float32)
    train = np.repeat(places, copies, axis=0)
    ids = built(Metric.EUCLIDEAN, train, storage="float32").searcher(ef=200)(places, 10)
    assert (ids // copies == np.arange(12)[:, None]).mean() > 0.9


def test_rows_of_zeros_under_angular():
    """Rows of zeros lie at distance 1: behind all that point the query's way, before all that point away."""
    train = clustered(300, 12)
    train[::3] = 0.0
    queries = clustered(20, 12, seed=1)
    for parameters in STORAGES[:2]:
        ids = built(Metric.ANGULAR, train, **parameters).searcher(ef=150)(queries, 10)
        assert recall(Metric.ANGULAR, train, queries, ids) > 0.9


def test_tight_clusters_are_not_quantised():
    """Where a byte can't tell neighbours apart, rows are held as float32, and the index says so."""
    rng = np.random.default_rng(0)
    n = 600 if INTERPRETED else 3000
    train = (1e4 * rng.integers(0, n // 300, (n, 1)) + rng.random((n, 16))).astype(np.float32)
    index = built(Metric.EUCLIDEAN, train)
    assert index.effective == {"storage": "float32"}
    assert recall(Metric.EUCLIDEAN, train, train[:50], index.searcher(ef=200)(train[:50], 10)) > 0.9


def test_counts_and_upper_layers():
    """Distances and hops are counted anew after each bind; without upper layers a search takes a longer way."""
    train, queries = clustered(800 if INTERPRETED else 4000, 8), clustered(50, 8, seed=1)
    index = built(Metric.EUCLIDEAN, train, M=4)
    counts = []
    for upper_layers in (True, False):
        index.searcher(ef=4, upper_layers=upper_layers)(queries, 1)
        counts.append(index.counters())
    assert 0 < counts[0]["hops"] < counts[0]["distance_computations"]
    assert counts[1]["hops"] != counts[0]["hops"]


def test_memory_is_what_is_kept():
    """Codes alone take less than half of rows and links; the figure is the sum of the arrays."""
    n = 300 if INTERPRETED else 1000
    train = clustered(n, 100)
    floats = built(Metric.EUCLIDEAN, train, storage="float32").index_bytes()
    codes = built(Metric.EUCLIDEAN, train, rerank=False).index_bytes()
    assert n * (400 + 128) < floats < n * (400 + 128 + 16)
    assert codes < 0.46 * floats


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"M": 1}, "M = 1"),
        ({"ef_construction": 0}, "ef_construction = 0"),
        ({"storage": "int4"}, "int4"),
        ({"n_components": 0}, "n_components = 0"),
    ],
)
def test_refuses_bad_parameters(parameters, message):
    """An error names the value."""
    with pytest.raises(ParameterError, match=message):
        HNSW(Metric.EUCLIDEAN, **parameters)


def test_refuses_what_it_cannot_search():
    """Other metrics, other dimensions and ef = 0 are named."""
    with pytest.raises(ParameterError, match="hamming"):
        HNSW(Metric.HAMMING)
    index = built(Metric.EUCLIDEAN, clustered(20, 5))
    with pytest.raises(ParameterError, match="dimension 5"):
        index.searcher()(np.zeros((1, 4), np.float32), 1)
    with pytest.raises(ParameterError, match="ef = 0"):
        index.searcher(ef=0)


def test_search_layer_finds_all_that_can_be_reached():
    """SEARCH-LAYER with room for every node gives the whole component of its entry point, nearest first."""
    rows = np.arange(8, dtype=np.float32)[:, None]
    graph = allocate_graph(np.zeros(8, np.int32), 2)
    for node in range(8):
        near = [other for other in (node - 1, node + 1) if 0 <= other < 8 and {node, other} != {4, 5}]
        graph.ground[node, : len(near)] = near
    scratch = allocate_scratch(8, 8, 2)
    query = allocate_query(rows)
    query[:] = 2.2
    hnsw_kernels.k_nn_search(rows, query, 0, graph, 0, 0, 8, 8, scratch)
    found = [int(key & 0xFFFFFFFF) >> 1 for key in scratch.pool if key != np.iinfo(np.int64).max]
    assert found == [2, 3, 1, 4, 0]


def test_whole_numbers_are_kept_once():
    """Rows that bytes hold without loss are codes and exact rows in one, until a row comes that they can't hold."""
    rng = np.random.default_rng(3)
    train = rng.integers(0, 256, (300, 20)).astype(np.float32)
    index = built(Metric.EUCLIDEAN, train, n_components=None)
    lean = built(Metric.EUCLIDEAN, train, n_components=None, rerank=False)
    assert index.index_bytes() - lean.index_bytes() == 300 * (64 - 24)  # whole cache lines, and nothing besides
    added = np.concatenate([train[:50] + 0.25, [[-999.0] * 20]]).astype(np.float32)
    index.add(added)
    assert index.index_bytes() > 351 * (64 + 80)
    np.testing.assert_array_equal(index.searcher(ef=60)(added, 1)[:, 0], np.arange(300, 351))


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="NumPy warns of what compiled code does in silence")
@pytest.mark.parametrize("parameters", STORAGES, ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20, 1e38, 1e-40])
def test_no_query_does_harm(parameters, value):
    """Queries that are no numbers, endless or extreme get valid ids or none, and spoil nothing for the next."""
    train = clustered(600, 30)
    search = built(Metric.EUCLIDEAN, train, **parameters).searcher(ef=10)
    before = search(train[:20], 5)
    for odd in (np.where(np.arange(30) == 7, value, train[:1]), np.full((1, 30), value)):
        ids = search(odd.astype(np.float32), 5)[0]
        assert ((ids >= -1) & (ids < 600)).all()
    np.testing.assert_array_equal(search(train[:20], 5), before)


def test_what_is_bound_stays():
    """A search that was bound answers as it did, whatever becomes of the index; other dimensions are refused."""
    train = clustered(400, 16)
    index = built(Metric.EUCLIDEAN, train)
    search = index.searcher(ef=50)
    before = search(train[:9], 3)
    index.fit(clustered(30, 24))
    np.testing.assert_array_equal(search(train[:9], 3), before)
    assert search(train[:9], 7).max() < 400
    with pytest.raises(ParameterError, match="dimension 16"):
        search(np.zeros((1, 24), np.float32), 3)


def test_queries_between_whole_numbers():
    """Codes that hold the rows exactly say a distance from a query that is no whole number only roughly."""
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 40, (3000, 2)).astype(np.float32)
    queries = rng.uniform(0, 40, (300, 2)).astype(np.float32)
    ids = built(Metric.EUCLIDEAN, rows).searcher(ef=200)(queries, 10)
    assert recall(Metric.EUCLIDEAN, rows, queries, ids) > 0.999


def test_a_few_rows_say_nothing_of_the_many_added():
    """Where codes were made for a handful of rows, those that come later are ranked by the rows all the same."""
    train, queries = clustered(1200, 12), clustered(50, 12, seed=1)
    index = built(Metric.EUCLIDEAN, train[:5])
    index.add(train[5:])
    ids = index.searcher(ef=1200)(queries, 10)
    assert recall(Metric.EUCLIDEAN, train, queries, ids) > 0.99


def test_adding_to_codes_of_a_few_components_alone():
    """Without rows, those added are linked by their codes, and found about as well as those that were there."""
    train = clustered(1000, 40)
    whole, grown = (built(Metric.EUCLIDEAN, train[:n], n_components=24, rerank=False) for n in (1000, 500))
    grown.add(train[500:])
    alike = [
        recall(Metric.EUCLIDEAN, train, train[500:], index.searcher(ef=80)(train[500:], 10)) for index in (whole, grown)
    ]
    assert alike[1] > alike[0] - 0.02


def test_a_row_of_zeros_added_later():
    """Under angular a row of zeros is at distance 1 from all, also if it is the first of its kind."""
    train = clustered(300, 10)
    index = built(Metric.ANGULAR, train, storage="float32")
    index.add(np.zeros((1, 10), np.float32))
    ids = index.searcher(ef=301)(-train[:20], 301)
    distances = neighbour_distances(Metric.ANGULAR, -train[:20], np.vstack([train, np.zeros((1, 10), np.float32)]), ids)
    assert (np.diff(distances, axis=1) >= -1e-5).all()


def test_breadth_first_and_renumbering_keep_the_graph():
    """The order holds every node once, unreachable ones too, and renumbered links lead to the same rows."""
    rng = np.random.default_rng(0)
    graph = allocate_graph(np.zeros(30, np.int32), 2)
    graph.ground[:25, :3] = rng.integers(0, 25, (25, 3))
    order = np.empty(30, np.int32)
    hnsw_kernels.breadth_first(graph.ground, 4, 30, order)
    assert order[0] == 4
    assert sorted(order) == list(range(30))
    before, after = links(graph, np.arange(30, dtype=np.int32)), links(renumber(graph, order), order)
    for left, right in zip(before, after, strict=True):
        np.testing.assert_array_equal(left, right)
