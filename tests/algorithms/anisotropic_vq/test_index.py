"""The index of anisotropic codes: what it finds, that it is the same every time, and what it refuses."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from algorithms.anisotropic_vq import AnisotropicVQ
from algorithms.brute_force import BruteForce
from algorithms.kernels.lists.coded_centroids import code_centroids
from harness.core.errors import ParameterError
from harness.data.metric import Metric, neighbour_distances
from harness.engines.contract import as_neighbors

INTERPRETED = bool(numba.config.DISABLE_JIT)  # a hundred times slower: fewer rows do

METRICS = [Metric.EUCLIDEAN, Metric.ANGULAR, Metric.IP][:: 2 if INTERPRETED else 1]
STORAGES = [
    {"storage": "float32"},
    {"storage": "sq8"},
    {"rerank": False},
    {"n_components": 12},
    {"spill": True},
    {"spill": True, "storage": "float32"},
    {"spherical": True},
    {"threshold": None, "dims_per_block": 3},
]
if INTERPRETED:
    STORAGES = STORAGES[2:6]
EVERYTHING = {"n_leaves_to_search": 10**6, "n_reorder": 10**6}


def clustered(n, dim, seed=0):
    """Draw rows around 20 centres, of lengths that differ, as embeddings have."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((20, dim))
    rows = centres[rng.integers(20, size=n)] + 0.6 * rng.standard_normal((n, dim))
    return (rows * rng.lognormal(0.0, 0.2, (n, 1))).astype(np.float32)


def nearest(metric, train, queries, k=10):
    """Return the distances (m, k) of the nearest, inf where there are no more."""
    exact = BruteForce(metric)
    exact.fit(train)
    return exact.nearest(queries, k)[1]


def recall(metric, train, queries, ids, k=10):
    """Return the share of returned neighbours that are no farther than the k-th nearest."""
    kth = nearest(metric, train, queries, k)[:, -1:]
    found = neighbour_distances(metric, queries, train, as_neighbors(ids, len(queries), k, len(train)))
    return float((found <= kth + 1e-5 * np.abs(kth) + 1e-9).mean())


def assert_exact(metric, train, queries, ids, slack=1e-5):
    """Check that the distances of ids (m, k) are those of the nearest, and that each id comes once."""
    k = ids.shape[1]
    found = neighbour_distances(metric, queries, train, as_neighbors(ids, len(queries), k, len(train)))
    expected, n = nearest(metric, train, queries, k), min(k, len(train))
    largest = np.abs(expected[:, :n]).max(initial=1e-30)
    np.testing.assert_allclose(found[:, :n], expected[:, :n], rtol=slack, atol=slack * largest)
    assert (ids[:, n:] == -1).all()


def built(metric, train, threads=1, **parameters):
    """Return an index over `train`."""
    index = AnisotropicVQ(metric, **parameters)
    index.fit(train, threads=threads)
    return index


def arrays_of(index):
    """Return all that is kept by name."""
    return index._index.arrays()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("parameters", STORAGES, ids=str)
def test_finds_nearly_all_neighbours(metric, parameters):
    """Every storage reaches a high recall at moderate effort, one query a call and all at once alike."""
    n, dim = (80, 14) if INTERPRETED else (1500, 40)
    train, queries = clustered(n, dim), clustered(5 if INTERPRETED else 40, dim, seed=1)
    index = built(metric, train, **parameters)
    search = index.searcher(n_leaves_to_search=20, n_reorder=100)
    ids = search(queries, 10)
    np.testing.assert_array_equal(ids, np.concatenate([search(q[None], 10) for q in queries]))
    np.testing.assert_array_equal(ids, index.searcher(n_leaves_to_search=20, n_reorder=100, threads=2)(queries, 10))
    assert recall(metric, train, queries, ids) > (0.9 if not parameters.get("rerank", True) else 0.96)
    if parameters.get("rerank", True):
        away = neighbour_distances(metric, queries, train, ids)
        assert (np.diff(away, axis=1) >= -1e-5 * np.abs(away[:, 1:])).all()


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("spill", [False, True])
def test_codes_alone_rank(metric, spill):
    """Without ranking again, the codes of 4 bits find many neighbours, each once; more bits find more."""
    n, dim = (80, 8) if INTERPRETED else (1500, 24)
    train, queries = clustered(n, dim), clustered(20, dim, seed=1)
    shares = []
    for block in (4, 2, 1):
        index = built(metric, train, dims_per_block=block, spill=spill)
        ids = index.searcher(n_leaves_to_search=10**6, n_reorder=0)(queries, 10)
        shares.append(recall(metric, train, queries, ids))
        assert index.counters()["ranked_by_codes"] == index.counters()["distance_computations"] == 0
    assert shares[0] > 0.15
    assert shares[0] < shares[1] < shares[2]
    assert shares[2] > 0.75


@pytest.mark.skipif(INTERPRETED, reason="many dimensions")
@pytest.mark.parametrize(("dim", "block"), [(512, 2), (400, 1), (520, 1)])
def test_many_positions_leave_room_for_biases(dim, block):
    """With 256 code positions and more, sums and biases of 16 bits still tell vectors apart."""
    train, queries = clustered(1500, dim), clustered(30, dim, seed=1)
    index = built(Metric.EUCLIDEAN, train, dims_per_block=block, n_components=None)
    ids = index.searcher(n_leaves_to_search=10**6, n_reorder=50)(queries, 10)
    assert recall(Metric.EUCLIDEAN, train, queries, ids) > 0.95


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("parameters", [{"storage": "float32"}, {}, {"spill": True, "n_leaves": 5}], ids=str)
@pytest.mark.parametrize(
    ("n", "dim"), [(1, 1), (2, 1), (3, 7), (9, 3), (15, 2), (33, 65), (200, 7), (300, 1), (40, 300)]
)
def test_all_leaves_and_candidates_are_exact_search(metric, parameters, n, dim):
    """With every leaf searched and every vector ranked again, distances are those of brute force; k > n is padded."""
    if INTERPRETED and n * dim > 500:
        pytest.skip("too slow")
    train, queries = clustered(n, dim), clustered(5, dim, seed=1)
    search = built(metric, train, **parameters).searcher(**EVERYTHING)
    assert_exact(metric, train, queries, search(queries, 12))
    assert_exact(metric, train, queries, search(queries, n + 3))
    assert_exact(metric, train, queries, search(queries, 1))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("spill", [False, True])
@pytest.mark.parametrize(
    "kind", ["constant", "zeros", "copies", "some zeros", "whole numbers", "bits", "axes", "lengths", "far", "tiny"]
)
def test_odd_data(metric, kind, spill):
    """Constant data, copies, zeros, whole numbers, and lengths and places of all kinds give the nearest."""
    n = 45 if INTERPRETED else 120
    train, queries = np.array(clustered(n, 9)), clustered(6, 9, seed=1)
    if kind == "constant":
        train[:] = train[0]
    elif kind == "zeros":
        train[:] = 0.0
    elif kind == "copies":
        train[:] = np.repeat(train[:3], n // 3, axis=0)
    elif kind == "some zeros":
        train[::3] = 0.0
    elif kind == "whole numbers":
        train = np.rint(10 * train)
    elif kind == "bits":
        train = (train > 0).astype(np.float32)
    elif kind == "axes":
        train = np.eye(9, dtype=np.float32)[np.arange(n) % 9]
    elif kind == "lengths":
        train *= (10.0 ** np.random.default_rng(0).uniform(-4, 4, (n, 1))).astype(np.float32)
    elif kind == "far":
        train += np.float32(100.0)
    else:
        train[::4] *= np.float32(1e-25)
    before = train.copy()
    index = built(metric, train, spill=spill)
    np.testing.assert_array_equal(train, before)
    assert np.isfinite(index._index.codebooks).all()
    ids = index.searcher(n_leaves_to_search=10**6, n_reorder=400)(queries, 10)
    assert_exact(metric, train, queries, ids, slack=1e-3)


def test_real_queries_of_small_whole_numbers():
    """Rows that are their own codes are found by queries that are no whole numbers, under inner products, too."""
    rng = np.random.default_rng(0)
    n, dim = (80, 8) if INTERPRETED else (1000, 40)
    train = np.eye(dim, dtype=np.float32)[rng.integers(0, dim, n)]
    queries = rng.standard_normal((10, dim)).astype(np.float32)
    for metric in (Metric.ANGULAR, Metric.IP):
        ids = built(metric, train).searcher(n_leaves_to_search=10**6, n_reorder=60)(queries, 3)
        assert recall(metric, train, queries, ids, 3) > 0.9


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("parameters", STORAGES, ids=str)
def test_threads_change_nothing(metric, parameters):
    """All arrays are equal, bit for bit, on one thread and on two; another seed gives others."""
    train = clustered(60 if INTERPRETED else 1300, 13)
    one, two = (built(metric, train, threads, **parameters) for threads in (1, 2))
    for name, value in arrays_of(one).items():
        np.testing.assert_array_equal(value, arrays_of(two)[name])
    other = built(metric, train, seed=1, **parameters)
    assert not np.array_equal(arrays_of(one)["ids"], arrays_of(other)["ids"])


@pytest.mark.parametrize("parameters", STORAGES, ids=str)
def test_memory_is_what_is_kept(parameters):
    """The figure is the sum of the arrays that a search reads."""
    n = 50 if INTERPRETED else 300
    index = built(Metric.EUCLIDEAN, clustered(n, 40), **parameters)
    kept, file = arrays_of(index), index._index
    coded = code_centroids(file.centroids, file.quantizer, by_direction=False)
    names = ["codebooks", "ids", "shifts", *(name for name in kept if name.startswith("lists."))]
    expected = sum(kept[name].nbytes for name in names) + sum(array.nbytes for array in coded)
    expected += sum(array[:n].nbytes for array in (file.storage.codes, file.storage._rows) if len(array))
    assert index.index_bytes() == expected
    copies = 1 + parameters.get("spill", False)
    assert file.lists.sizes.sum() == copies * n


def test_counts():
    """Vectors scanned and ranked are counted anew after each bind, and grow with the effort."""
    n = 150 if INTERPRETED else 500
    train, queries = clustered(n, 12), clustered(4, 12, seed=1)
    index = built(Metric.EUCLIDEAN, train, n_components=None, n_leaves=20)
    search = index.searcher(n_leaves_to_search=20, n_reorder=60)
    search(queries, 5)
    assert index.counters()["scanned"] <= 4 * n
    assert index.counters()["ranked_by_codes"] == 4 * 60
    search(queries[:2], 4)
    assert index.counters()["ranked_by_codes"] == 6 * 60
    assert 0 < index.counters()["distance_computations"] <= 6 * 60
    index.searcher(n_leaves_to_search=1, n_reorder=10)(queries, 5)
    assert index.counters()["scanned"] < 4 * n
    assert index.counters()["ranked_by_codes"] <= 4 * 10


def test_searches_more_leaves_where_few_hold_too_little():
    """Whoever asks for many neighbours gets them from one leaf, too."""
    train = clustered(200, 6)
    for spill in (False, True):
        ids = built(Metric.EUCLIDEAN, train, n_leaves=50, spill=spill).searcher(n_leaves_to_search=1)(train[:5], 60)
        assert (ids >= 0).all()
        as_neighbors(ids, 5, 60, 200)


def test_many_neighbours_of_copies():
    """Spilled copies of a row fill no place of another, whatever k and n_reorder are."""
    train = np.repeat(clustered(40, 5), 5, axis=0)
    for k, n_reorder in ((1, 0), (7, 0), (50, 3), (200, 10), (250, 10**6)):
        ids = built(Metric.IP, train, spill=True).searcher(n_leaves_to_search=3, n_reorder=n_reorder)(train[:9], k)
        as_neighbors(ids, 9, k, 200)
        assert (ids[:, : min(k, 200)] >= 0).all()


@pytest.mark.skipif(INTERPRETED, reason="NumPy warns of what compiled code does in silence")
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("parameters", STORAGES, ids=str)
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20, 1e30, 1e38, 1e-40])
def test_no_query_does_harm(metric, parameters, value):
    """Queries that are no numbers, endless or extreme get valid ids or none, and spoil nothing for the next."""
    train = clustered(400, 30)
    index = built(metric, train, **parameters)
    for n_reorder in (0, 20):
        search = index.searcher(n_leaves_to_search=5, n_reorder=n_reorder)
        before = search(train[:10], 5)
        for odd in (np.where(np.arange(30) == 7, value, train[:1]), np.full((1, 30), value)):
            as_neighbors(search(odd.astype(np.float32), 5), 1, 5, 400)
        np.testing.assert_array_equal(search(train[:10], 5), before)


def test_what_is_bound_stays():
    """A search that was bound answers as it did, whatever becomes of the index."""
    train = clustered(100, 16)
    index = built(Metric.EUCLIDEAN, train)
    search = index.searcher(n_leaves_to_search=5)
    before = search(train[:9], 3)
    index.add(100.0 * train)
    np.testing.assert_array_equal(search(train[:9], 3), before)
    index.fit(clustered(30, 24))
    np.testing.assert_array_equal(search(train[:9], 3), before)
    assert search(train[:9], 7).max() < 100


def test_queries_of_any_layout():
    """Rows in another order of memory, of another type, or none of them, are searched as well."""
    train = clustered(200, 8)
    index = built(Metric.EUCLIDEAN, np.asfortranarray(train))
    search = index.searcher(n_leaves_to_search=5)
    expected = search(train[:6], 4)
    np.testing.assert_array_equal(search(np.asfortranarray(train[:6]), 4), expected)
    np.testing.assert_array_equal(search(train[:6].astype(np.float64), 4), expected)
    assert search(train[:0], 4).shape == (0, 4)
    assert search(train[:2], 0).shape == (2, 0)
    with pytest.raises(ParameterError, match=r"shape \(1, 4\) given, but the index has dimension 8"):
        search(np.zeros((1, 4), np.float32), 3)
    with pytest.raises(ParameterError, match=r"shape \(1, 4\) given, but the index has dimension 8"):
        index.add(np.zeros((1, 4), np.float32))


def test_compiles_on_a_few_rows():
    """Warming up on a sample leaves the index as it was."""
    index = AnisotropicVQ(Metric.ANGULAR, spill=True)
    index.compile(clustered(100, 6))
    index.fit(clustered(50, 6))
    assert index.searcher()(clustered(1, 6), 2).shape == (1, 2)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"metric": "hamming"}, "metric hamming"),
        ({"n_leaves": 0}, "n_leaves = 0"),
        ({"n_leaves": 2.5}, "n_leaves = 2.5 is not a whole number"),
        ({"n_leaves": "many"}, "n_leaves = 'many' is not a whole number"),
        ({"dims_per_block": True}, "dims_per_block = True is not a whole number"),
        ({"threshold": 1.0}, "threshold = 1.0"),
        ({"threshold": 0.0}, "threshold = 0.0"),
        ({"threshold": float("nan")}, "threshold = nan"),
        ({"dims_per_block": 0}, "dims_per_block = 0"),
        ({"soar_lambda": -1.0}, "soar_lambda = -1.0"),
        ({"storage": "int4"}, "'int4'"),
        ({"n_components": 0}, "n_components = 0"),
    ],
)
def test_refuses_bad_parameters(parameters, message):
    """An error names the value."""
    with pytest.raises(ParameterError, match=message):
        AnisotropicVQ(**{"metric": Metric.EUCLIDEAN, **parameters})


@pytest.mark.parametrize("parameters", [{"n_leaves_to_search": 0}, {"n_reorder": -1}])
def test_refuses_bad_search_parameters(parameters):
    """A search parameter that can't be used is named, with what can."""
    index = built(Metric.EUCLIDEAN, clustered(20, 5))
    name, value = next(iter(parameters.items()))
    with pytest.raises(ParameterError, match=f"{name} = {value}; use"):
        index.searcher(**parameters)
