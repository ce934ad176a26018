"""The index of anisotropic codes as it grows, and what comes of it in a file."""

from __future__ import annotations

import numba
import numpy as np
import pytest

from algorithms.anisotropic_vq import AnisotropicVQ
from algorithms.brute_force import BruteForce
from algorithms.kernels.lists.partition import unpack
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


@pytest.mark.parametrize("parameters", STORAGES, ids=str)
@pytest.mark.parametrize("metric", METRICS)
def test_saved_and_loaded(metric, parameters, tmp_path):
    """A loaded index answers as the saved one does, takes as much memory, and grows in the same way."""
    n, dim = (60, 13) if INTERPRETED else (500, 20)
    train, queries = clustered(n, dim), clustered(10, dim, seed=1)
    index = built(metric, train, **parameters)
    index.save(tmp_path / "index")
    loaded = AnisotropicVQ(metric)
    loaded.load(tmp_path / "index")
    for effort in ({"n_leaves_to_search": 5, "n_reorder": 30}, {"n_reorder": 0}):
        np.testing.assert_array_equal(loaded.searcher(**effort)(queries, 5), index.searcher(**effort)(queries, 5))
    assert loaded.index_bytes() == index.index_bytes()
    assert loaded.effective == index.effective
    for one in (index, loaded):
        one.add(queries)
    for name, value in arrays_of(index).items():
        np.testing.assert_array_equal(value, arrays_of(loaded)[name])
    found = loaded.searcher(**EVERYTHING)(queries, 1)
    if metric is not Metric.IP and parameters.get("rerank", True):
        np.testing.assert_array_equal(found[:, 0], np.arange(n, n + 10))


def test_threshold_of_a_loaded_index_is_that_of_the_saved_one(tmp_path):
    """Rows added are coded by the same loss where the rows themselves aren't kept, far from the origin or not."""
    train = clustered(150, 8) + np.float32(5.0)
    index = built(Metric.EUCLIDEAN, train[:100], threshold=0.3, rerank=False)
    index.save(tmp_path / "index")
    loaded = AnisotropicVQ(Metric.EUCLIDEAN)
    loaded.load(tmp_path / "index")
    for one in (index, loaded):
        one.add(train[100:])
    np.testing.assert_array_equal(arrays_of(index)["lists.codes"], arrays_of(loaded)["lists.codes"])


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("parameters", STORAGES, ids=str)
def test_grows(metric, parameters):
    """Rows that were added are found as those of the first build are, in several steps and from nothing."""
    first, n, dim = (60, 90, 13) if INTERPRETED else (600, 1000, 24)
    train, queries = clustered(n, dim), clustered(20, dim, seed=1)
    index = built(metric, train[:0], **parameters)
    assert index.searcher()(queries, 3).tolist() == [[-1, -1, -1]] * 20
    for start, stop in ((0, first), (first, first + 1), (first + 1, first + 1), (first + 1, n)):
        index.add(train[start:stop], threads=2)
    assert sorted(arrays_of(index)["ids"].tolist()) == list(range(n))
    ids = index.searcher(n_leaves_to_search=30, n_reorder=100)(queries, 10)
    assert recall(metric, train, queries, ids) > (0.85 if not parameters.get("rerank", True) else 0.95)
    assert ids.max() > first + 1


@pytest.mark.parametrize("parameters", [{}, {"storage": "float32"}, {"spill": True}], ids=str)
def test_rows_added_far_away(parameters):
    """Where those added lie far from all before, biases get wider steps, and all rows keep what biases they have."""
    train = clustered(200, 12)
    every = np.concatenate([train, train[:50], 6.0 * clustered(150, 12, seed=1) + np.float32(8.0)])
    index = built(Metric.EUCLIDEAN, train, n_leaves=20, n_components=None, **parameters)

    def biases():
        """Return all biases by leaf and row."""
        leaves, file = unpack(index._index.lists, 8, 16), index._index
        values = file.shifts[leaves.lists] + file.bias_step * leaves.biases.astype(np.float64)
        return dict(zip(zip(leaves.lists.tolist(), leaves.rows.tolist(), strict=True), values, strict=True))

    before, step = biases(), index._index.bias_step
    index.add(every[200:250])
    assert index._index.bias_step == step
    index.add(every[250:])
    assert index._index.bias_step > 2 * step
    after = biases()
    np.testing.assert_allclose([after[key] for key in before], list(before.values()), atol=index._index.bias_step)
    assert_exact(Metric.EUCLIDEAN, every, every[::40], index.searcher(**EVERYTHING)(every[::40], 1), slack=1e-3)


@pytest.mark.parametrize("n", [1, 3, 20])
def test_a_few_rows_or_copies_say_nothing_of_the_many_added(n):
    """An index over next to nothing takes all kinds of rows, and finds them with all candidates ranked."""
    train = clustered(200, 6)
    train[:n] = train[0]
    for metric in METRICS[:1] if INTERPRETED else METRICS:
        index = built(metric, train[:n])
        index.add(train[n:])
        assert_exact(
            metric, train, train[::20], index.searcher(n_leaves_to_search=10**6, n_reorder=999)(train[::20], 5)
        )


def test_rows_added_to_spherical_clusters_go_the_same_way():
    """Rows are put into the leaves that rows like them lie in: those of their direction, however long they are."""
    n, dim = (80, 6) if INTERPRETED else (400, 16)
    train = clustered(n, dim) * np.random.default_rng(0).lognormal(0.0, 1.0, (n, 1)).astype(np.float32)
    index = built(Metric.IP, train, spherical=True, n_leaves=25)
    index.add(train)
    sizes, starts, rows = (arrays_of(index)[f"lists.{name}"] for name in ("sizes", "starts", "rows"))
    ids, leaf_of = arrays_of(index)["ids"], np.zeros(2 * n, int)
    for leaf in range(25):
        leaf_of[ids[rows[32 * starts[leaf] : 32 * starts[leaf] + sizes[leaf]]]] = leaf
    assert (leaf_of[:n] == leaf_of[n:]).mean() > 0.9


def test_grows_beyond_whole_numbers():
    """Rows kept as bytes become floats when a row arrives that bytes can't hold."""
    rng = np.random.default_rng(0)
    whole = rng.integers(0, 256, (200, 10)).astype(np.float32)
    index = built(Metric.EUCLIDEAN, whole)
    odd = np.concatenate([np.full((1, 10), 0.5), np.full((1, 10), -999.0)]).astype(np.float32)
    index.add(odd)
    search = index.searcher(**EVERYTHING)
    assert search(odd, 1)[:, 0].tolist() == [200, 201]
    assert search(whole[7:8], 1)[0, 0] == 7


def test_refuses_rows_that_are_no_numbers():
    """NaN among the rows is refused, and rows refused by `add` leave the index as it was."""
    train = clustered(60, 5)
    bad = train.copy()
    bad[7, 2] = np.nan
    with pytest.raises(ParameterError, match="NaN"):
        built(Metric.EUCLIDEAN, bad, storage="float32")
    index = built(Metric.EUCLIDEAN, train)
    before = index.searcher()(train, 3)
    with pytest.raises(ParameterError, match="NaN"):
        index.add(bad)
    np.testing.assert_array_equal(index.searcher()(train, 3), before)


@pytest.mark.skipif(INTERPRETED, reason="many rows")
def test_small_whole_numbers_are_found_as_others_are():
    """Rows of a few whole numbers, which are their own codes, are no harder than rows that aren't."""
    rows, queries = (np.rint(2.0 * clustered(n, 24, seed)) for n, seed in ((3000, 0), (40, 1)))
    found = []
    for factor in (np.float32(1.0), np.float32(1.01)):
        index = built(Metric.EUCLIDEAN, rows * factor)
        ids = index.searcher(n_leaves_to_search=20, n_reorder=0)(queries * factor, 10)
        found.append(recall(Metric.EUCLIDEAN, rows * factor, queries * factor, ids))
    assert found[0] > found[1] - 0.05
