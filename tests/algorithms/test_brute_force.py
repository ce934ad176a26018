"""Exact search against NumPy, SciPy and faiss, on odd shapes and ties."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.brute_force import BruteForce
from algorithms.brute_force.index import QUERY_BLOCK, ROW_BLOCK, SPARE
from harness.core.errors import ParameterError
from harness.data.metric import Metric, neighbour_distances, pack_bits
from harness.engines.contract import Sets

INTERPRETED = bool(numba.config.DISABLE_JIT)  # a hundred times slower: fewer rows do


def vectors(metric, n, dim, seed=0):
    """Draw data in the form of a metric."""
    rng = np.random.default_rng(seed)
    if metric is Metric.JACCARD:
        return Sets.of([rng.choice(50, rng.integers(0, 12), replace=False) for _ in range(n)])
    rows = rng.standard_normal((n, dim))
    return pack_bits(rows > 0) if metric is Metric.HAMMING else rows.astype(np.float32)


def truth(metric, train, queries, k):
    """Compute the k smallest distances of each query in float64."""
    every = np.tile(np.arange(len(train)), (len(queries), 1))
    return np.sort(neighbour_distances(metric, queries, train, every), axis=1)[:, :k]


@pytest.mark.parametrize("metric", list(Metric))
@pytest.mark.parametrize(("n", "dim"), [(1, 1), (5, 7), (300, 65), (ROW_BLOCK + 1, 16)])
def test_finds_the_nearest(metric, n, dim):
    """One query a call and all in one call give the exact distances, nearest first; k > n is padded."""
    train, queries = vectors(metric, n, dim), vectors(metric, 9, dim, seed=1)
    index = BruteForce(metric)
    index.fit(train)
    search = index.searcher()
    expected = truth(metric, train, queries, 10)
    singly = np.concatenate([search(queries[i : i + 1], 10) for i in range(len(queries))])
    for ids in (singly, search(queries, 10), index.searcher(threads=2)(queries, 10)):
        assert ids.shape == (9, 10)
        found = neighbour_distances(metric, queries, train, ids)
        np.testing.assert_allclose(found[:, : expected.shape[1]], expected, rtol=1e-5, atol=1e-6)
        assert (ids[:, n:] == -1).all()


@pytest.mark.parametrize("metric", list(Metric))
def test_nearest_gives_distances_as_float64_does(metric):
    """The distances that ground truth is made of agree with float64 to 1e-5 relative."""
    # More queries than one block holds, but for sets, whose reference is a loop in Python.
    n, m = (200, 40) if metric is Metric.JACCARD else (200 if INTERPRETED else 2000, QUERY_BLOCK + 3)
    train, queries = vectors(metric, n, 33), vectors(metric, m, 33, seed=1)
    index = BruteForce(metric)
    index.fit(train)
    ids, distances = index.nearest(queries, 20, threads=2)
    np.testing.assert_allclose(distances, truth(metric, train, queries, 20), rtol=1e-5, atol=1e-12)
    np.testing.assert_allclose(distances, neighbour_distances(metric, queries, train, ids), rtol=1e-5, atol=1e-12)


def test_rounding_can_not_push_a_neighbour_out():
    """Far from the origin, products in float32 can't tell neighbours apart; the certificate sees it."""
    rng = np.random.default_rng(0)
    n, m = (600, 10) if INTERPRETED else (3000, 50)
    train = (1e4 + rng.standard_normal((n, 64))).astype(np.float32)
    queries = (1e4 + rng.standard_normal((m, 64))).astype(np.float32)
    index = BruteForce(Metric.EUCLIDEAN)
    index.fit(train)
    _, distances = index.nearest(queries, 10)
    np.testing.assert_allclose(distances, truth(Metric.EUCLIDEAN, train, queries, 10), rtol=1e-9)


@pytest.mark.parametrize("metric", [Metric.EUCLIDEAN, Metric.ANGULAR, Metric.IP])
def test_ties_beyond_the_spare_candidates(metric):
    """More equal rows than candidates are kept: any of them will do, and the distances are right."""
    train = np.repeat(vectors(metric, 4, 8), 3 * SPARE + 40, axis=0)
    queries = vectors(metric, 6, 8, seed=1)
    index = BruteForce(metric)
    index.fit(train)
    ids, distances = index.nearest(queries, 30)
    np.testing.assert_allclose(distances, truth(metric, train, queries, 30), rtol=1e-6, atol=1e-9)
    assert all(len(set(row)) == 30 for row in ids)


def test_agrees_with_faiss():
    """An oracle by others: faiss's flat index finds the same neighbours."""
    faiss = pytest.importorskip("faiss")
    train, queries = vectors(Metric.EUCLIDEAN, 5000, 48), vectors(Metric.EUCLIDEAN, 40, 48, seed=1)
    index = BruteForce(Metric.EUCLIDEAN)
    index.fit(train)
    flat = faiss.IndexFlatL2(48)
    flat.add(train)
    np.testing.assert_array_equal(index.searcher()(queries, 10), flat.search(queries, 10)[1])


@given(st.integers(1, 80), st.integers(1, 20), st.integers(1, 30), st.integers(0, 3))
@settings(deadline=None, max_examples=60)
def test_small_integers_with_many_ties(n, dim, k, seed):
    """Data full of ties gives the right distances at every shape."""
    rng = np.random.default_rng(seed)
    train = rng.integers(0, 3, (n, dim)).astype(np.float32)
    queries = rng.integers(0, 3, (3, dim)).astype(np.float32)
    index = BruteForce(Metric.EUCLIDEAN)
    index.fit(train)
    ids, distances = index.nearest(queries, k)
    expected = truth(Metric.EUCLIDEAN, train, queries, k)
    np.testing.assert_allclose(distances[:, : expected.shape[1]], expected, rtol=1e-9)
    assert np.isinf(distances[:, n:]).all()
    assert (ids[:, n:] == -1).all()


def test_unknown_parameters_are_named():
    """A search parameter that doesn't exist is an error, not ignored."""
    index = BruteForce(Metric.EUCLIDEAN)
    index.fit(vectors(Metric.EUCLIDEAN, 5, 3))
    with pytest.raises(ParameterError, match="ef"):
        index.searcher(ef=3)
