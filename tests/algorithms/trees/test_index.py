"""The kd-tree and the ball tree against brute force, scikit-learn and SciPy, exact and with a budget of leaves."""

from __future__ import annotations

import gc

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.ball_tree import BallTree
from algorithms.kd_tree import KDTree
from algorithms.kernels.simd.lanes import LANES
from harness.core.errors import ParameterError
from harness.data.metric import Metric, neighbour_distances

CASES = [(tree, metric) for tree in (KDTree, BallTree) for metric in tree.kinds]


def vectors(n, dim, seed=0):
    """Draw normal rows."""
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def truth(metric, train, queries, k):
    """Compute the k smallest distances of each query in float64."""
    every = np.tile(np.arange(len(train)), (len(queries), 1))
    return np.sort(neighbour_distances(metric, queries, train, every), axis=1)[:, :k]


def fitted(tree, metric, train, **build):
    """Build an index."""
    index = tree(metric, **build)
    index.fit(train)
    return index


def assert_exact(metric, train, queries, ids, k, slack=1e-6):
    """Check that ids are those of the nearest rows, as far as their float64 distances tell."""
    expected, n = truth(metric, train, queries, k), len(train)
    assert ids.shape == (len(queries), k)
    assert ids.dtype == np.int64
    found = neighbour_distances(metric, queries, train, ids)
    np.testing.assert_allclose(found[:, : expected.shape[1]], expected, rtol=slack, atol=slack * 1e-1)
    assert (ids[:, n:] == -1).all()
    assert all(len(set(row[:n])) == min(n, k) for row in ids.tolist())


@pytest.mark.parametrize(("tree", "metric"), CASES)
@pytest.mark.parametrize(
    ("n", "dim"), [(1, 1), (5, 7), (LANES, 3), (LANES * LANES + 1, 2), (3000, 8), (700, 65), (300, 200)]
)
def test_finds_the_nearest(tree, metric, n, dim):
    """One query a call, all in one call and on threads give the exact distances; k > n is padded."""
    train, queries = vectors(n, dim), vectors(9, dim, seed=1)
    index = fitted(tree, metric, train)
    search = index.searcher()
    singly = np.concatenate([search(queries[i : i + 1], 10) for i in range(len(queries))])
    assert_exact(metric, train, queries, singly, 10)
    np.testing.assert_array_equal(search(queries, 10), singly)
    np.testing.assert_array_equal(index.searcher(threads=3)(queries, 10), singly)


@pytest.mark.parametrize(("tree", "metric"), CASES)
def test_no_rows_no_queries_and_no_neighbours(tree, metric):
    """Empty data answer with padding, an empty batch and k = 0 with empty arrays."""
    search = fitted(tree, metric, vectors(0, 4)).searcher()
    assert (search(vectors(2, 4), 3) == -1).all()
    assert (search(vectors(1, 4), 3) == -1).all()
    assert search(vectors(0, 4), 3).shape == (0, 3)
    search = fitted(tree, metric, vectors(50, 4)).searcher()
    assert search(vectors(1, 4), 0).shape == (1, 0)


@pytest.mark.parametrize(("tree", "metric"), CASES)
@given(st.integers(1, 150), st.integers(1, 9), st.integers(1, 40), st.integers(0, 5))
@settings(deadline=None, max_examples=25)
def test_small_integers_with_many_ties(tree, metric, n, dim, k, seed):
    """Data full of ties, rows of zeros among them, give the right distances at every shape."""
    rng = np.random.default_rng(seed)
    train = rng.integers(-1, 2, (n, dim)).astype(np.float32)
    queries = rng.integers(-1, 2, (3, dim)).astype(np.float32)
    ids = fitted(tree, metric, train).searcher()(queries, k)
    assert_exact(metric, train, queries, ids, k)


@pytest.mark.parametrize(("tree", "metric"), CASES)
def test_constant_data_and_copies(tree, metric):
    """Equal rows, in any number, are all found, and none twice."""
    for train in (np.full((500, 3), 2.0, np.float32), np.repeat(vectors(20, 5), 40, axis=0)):
        queries = vectors(4, train.shape[1], seed=1)
        assert_exact(metric, train, queries, fitted(tree, metric, train).searcher()(queries, 100), 100)


@pytest.mark.parametrize("tree", [KDTree, BallTree])
def test_far_from_the_origin(tree):
    """Differences keep their digits where expanded norms would lose them all."""
    train, queries = (1e4 + vectors(2000, 16)).astype(np.float32), (1e4 + vectors(20, 16, seed=1)).astype(np.float32)
    ids = fitted(tree, Metric.EUCLIDEAN, train).searcher()(queries, 10)
    assert_exact(Metric.EUCLIDEAN, train, queries, ids, 10)


@pytest.mark.parametrize("tree", [KDTree, BallTree])
def test_rows_of_zeros_under_angular(tree):
    """A row of zeros is at distance 1 from everything: behind all acute angles and before all obtuse ones."""
    train = np.array([[0, 0], [-1, 0], [1, 0.1], [0, 0], [-1, 1]], np.float32)
    queries = np.array([[3.0, 0.0], [0.0, 0.0]], np.float32)
    ids = fitted(tree, Metric.ANGULAR, train).searcher()(queries, 5)
    assert ids[0, 0] == 2
    assert set(ids[0, 1:3]) == {0, 3}
    assert_exact(Metric.ANGULAR, train, queries, ids, 5)


@pytest.mark.parametrize("tree", [KDTree, BallTree])
def test_agrees_with_the_libraries(tree):
    """Oracles by others: SciPy's and scikit-learn's trees find the same neighbours."""
    spatial, neighbors = pytest.importorskip("scipy.spatial"), pytest.importorskip("sklearn.neighbors")
    train, queries = vectors(5000, 3), vectors(60, 3, seed=1)
    ids = fitted(tree, Metric.EUCLIDEAN, train).searcher()(queries, 8)
    np.testing.assert_array_equal(ids, spatial.cKDTree(train).query(queries, 8)[1])
    np.testing.assert_array_equal(ids, neighbors.BallTree(train).query(queries, 8, return_distance=False))


@pytest.mark.parametrize(("tree", "metric"), CASES)
def test_a_budget_of_leaves(tree, metric):
    """More leaves never find less, a few find most, all of them find everything, and a budget is kept."""
    train, queries = vectors(6000, 12), vectors(30, 12, seed=1)
    index = fitted(tree, metric, train, leaf_size=LANES)
    kth, leaves = truth(metric, train, queries, 10)[:, -1:], -(-len(train) // LANES)
    recalls = []
    for budget in (1, 4, 16, 64, leaves, 10 * leaves):
        ids = index.searcher(max_leaves=budget)(queries, 10)
        found = neighbour_distances(metric, queries, train, ids)
        recalls.append(float((found <= kth + 1e-6).mean()))
        assert (np.diff(found, axis=1) >= -1e-6).all()
        assert index.counters()["distance_computations"] <= budget * LANES * len(queries)
    assert recalls[0] > 10 * 10 / len(train)
    assert np.all(np.diff(recalls) >= -0.02)
    assert recalls[3] > 0.8
    assert recalls[-2:] == [1.0, 1.0]


@pytest.mark.parametrize("tree", [KDTree, BallTree])
def test_counters(tree):
    """Exact search in low dimension sees a small share of the rows; binding anew starts from nought."""
    train, queries = vectors(20000, 2), vectors(20, 2, seed=1)
    index = fitted(tree, Metric.EUCLIDEAN, train, leaf_size=LANES)
    index.searcher()(queries, 5)
    batch = index.counters()
    assert 20 * LANES <= batch["distance_computations"] < 0.1 * 20 * len(train)
    assert 20 <= batch["nodes_visited"] < batch["distance_computations"]
    search = index.searcher(threads=2)
    assert index.counters() == {"distance_computations": 0, "nodes_visited": 0}
    search(queries, 5)
    assert index.counters() == batch


@pytest.mark.parametrize(("tree", "metric"), CASES)
def test_save_and_load(tree, metric, tmp_path):
    """A loaded index answers as the saved one, at a path with any name."""
    train, queries = vectors(900, 6), vectors(7, 6, seed=1)
    train[:3] = 0.0
    index, again = fitted(tree, metric, train), tree(metric)
    index.save(tmp_path / "index.bin")
    again.load(tmp_path / "index.bin")
    assert [p.name for p in tmp_path.iterdir()] == ["index.bin"]
    for setting in ({}, {"max_leaves": 2}):
        np.testing.assert_array_equal(again.searcher(**setting)(queries, 9), index.searcher(**setting)(queries, 9))
    assert again.index_bytes() == index.index_bytes() > train.nbytes


@pytest.mark.parametrize(("tree", "metric"), CASES)
def test_the_same_for_any_number_of_threads(tree, metric):
    """Build and batch on threads change nothing."""
    train, queries = vectors(4000, 5), vectors(50, 5, seed=1)
    one, two = tree(metric), tree(metric)
    one.fit(train)
    two.fit(train, threads=2)
    for setting in ({}, {"max_leaves": 3}):
        left = one.searcher(**setting)(queries, 10)
        np.testing.assert_array_equal(left, two.searcher(threads=2, **setting)(queries, 10))


@pytest.mark.parametrize(("tree", "metric"), CASES)
def test_inputs_are_left_alone(tree, metric):
    """Neither rows nor queries are changed, nor an earlier answer by a later call; read-only and writable serve."""
    train, queries = vectors(300, 4), vectors(5, 4, seed=1)
    copies = train.copy(), queries.copy()
    search = fitted(tree, metric, train).searcher()
    earlier = search(queries, 3)
    kept = earlier.copy()
    queries.flags.writeable = train.flags.writeable = False
    np.testing.assert_array_equal(search(queries, 3), kept)
    search(vectors(5, 4, seed=2), 3)
    np.testing.assert_array_equal(earlier, kept)
    np.testing.assert_array_equal(train, copies[0])
    np.testing.assert_array_equal(queries, copies[1])


@pytest.mark.parametrize("tree", [KDTree, BallTree])
def test_leaf_size(tree):
    """Any leaf size gives the same distances, and one that isn't whole vectors is rounded up, and recorded."""
    train, queries = vectors(2000, 4), vectors(10, 4, seed=1)
    for size in (1, LANES, LANES + 1, 10_000):
        index = fitted(tree, Metric.EUCLIDEAN, train, leaf_size=size)
        assert index.effective.get("leaf_size", size) == -(-size // LANES) * LANES
        assert_exact(Metric.EUCLIDEAN, train, queries, index.searcher()(queries, 10), 10)
    assert fitted(tree, Metric.EUCLIDEAN, train).effective["leaf_size"] % LANES == 0


@pytest.mark.parametrize("tree", [KDTree, BallTree])
def test_bad_parameters_are_named(tree):
    """A value that can't be used is an error that names it."""
    for size in (0, -3, 2.5, "many", True):
        with pytest.raises(ParameterError, match=str(size)):
            tree(Metric.EUCLIDEAN, leaf_size=size)
    with pytest.raises(ParameterError, match="hamming"):
        tree(Metric.HAMMING)
    index = fitted(tree, Metric.EUCLIDEAN, vectors(50, 3))
    for budget in (0, -1, 1.5, "all", True):
        with pytest.raises(ParameterError, match=str(budget)):
            index.searcher(max_leaves=budget)
    with pytest.raises(ParameterError, match="4 dimensions"):
        index.searcher()(vectors(1, 4), 2)


def test_the_kd_tree_has_no_inner_product():
    """Boxes bound distances only: the error points to the metrics that work."""
    with pytest.raises(ParameterError, match="ip is not supported; use one of euclidean, angular"):
        KDTree(Metric.IP)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="NumPy warns of what compiled code does in silence")
@pytest.mark.parametrize("tree", [KDTree, BallTree])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20, 1e38, 1e-40])
def test_no_query_does_harm(tree, value):
    """Queries that are no numbers, endless or extreme get valid ids or none, and spoil nothing for the next."""
    for metric in tree.kinds:
        train = vectors(600, 30)
        search = fitted(tree, metric, train).searcher()
        before = search(train[:20], 5)
        for odd in (np.where(np.arange(30) == 7, value, train[:1]), np.full((1, 30), value)):
            ids = search(odd.astype(np.float32), 5)[0]
            assert ((ids >= -1) & (ids < 600)).all()
        np.testing.assert_array_equal(search(train[:20], 5), before)


@pytest.mark.parametrize("tree", [KDTree, BallTree])
def test_a_search_holds_what_it_works_on(tree):
    """A search that was bound before another, or before the index was filled anew, still answers as it did."""
    train = vectors(900, 8)
    index = fitted(tree, Metric.EUCLIDEAN, train)
    search = index.searcher()
    before = search(train[:30], 4)
    index.searcher(max_leaves=1)
    index.fit(vectors(40, 3))
    gc.collect()
    np.testing.assert_array_equal(search(train[:30], 4), before)
    np.testing.assert_array_equal(np.concatenate([search(q[None], 4) for q in train[:30]]), before)
