"""k-means: labels against NumPy, centroids against scikit-learn, and what must hold whatever the data."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config
from sklearn.cluster import KMeans

from algorithms.kernels.codes.kmeans import assign, kmeans
from algorithms.kernels.codes.kmeans_steps import draw, group
from harness.core.errors import ParameterError
from harness.data.metric import normalise

# Without the compiler, kernels are a hundred times slower.
N = 300 if config.DISABLE_JIT else 3000
WAYS = [{}, {"spherical": True}, {"init": "k-means++"}, {"batch": 100}, {"sample": N // 2}]


def normal(n, dim, seed=0):
    """Draw normal rows."""
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def blobs(n, dim, centres, seed=0):
    """Draw rows around centres 100 apart; return the rows and which centre each belongs to."""
    owners = np.random.default_rng(seed).permutation(np.arange(n) % centres)
    places = 100.0 * np.arange(centres)[:, None] * np.eye(dim)[0]
    return (places[owners] + normal(n, dim, seed)).astype(np.float32), owners


def squared(rows, centroids):
    """Return all squared distances (n, k) in float64."""
    return ((rows[:, None].astype(np.float64) - centroids) ** 2).sum(axis=2)


@given(st.integers(1, 60), st.integers(1, 70), st.integers(1, 40), st.integers(0, 99), st.sampled_from([0.0, 3.0, 1e4]))
@settings(deadline=None, max_examples=60)
def test_labels_are_of_the_nearest(n, k, dim, seed, away):
    """Each row gets a centroid that is nearest but for rounding, and its distance, however far from 0 all lie."""
    rows, centroids = normal(n, dim, seed) + np.float32(away), normal(k, dim, seed + 1) + np.float32(away)
    labels, distances = assign(rows, centroids)
    expected = squared(rows, centroids)
    assert (labels.dtype, distances.dtype) == (np.int32, np.float32)
    np.testing.assert_allclose(distances, expected[np.arange(n), labels], rtol=1e-5)
    np.testing.assert_allclose(distances, expected.min(axis=1), rtol=1e-4, atol=1e-4)


@given(st.integers(1, 60), st.integers(1, 70), st.integers(1, 40), st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_spherical_labels_are_of_the_largest_product(n, k, dim, seed):
    """Under inner products, the label's product is the largest, and the distance of unit vectors is 1 - cosine."""
    rows, centroids = normalise(normal(n, dim, seed)), normalise(normal(k, dim, seed + 1))
    labels, distances = assign(rows, centroids, spherical=True)
    products = rows.astype(np.float64) @ centroids.T.astype(np.float64)
    np.testing.assert_allclose(products[np.arange(n), labels], products.max(axis=1), atol=1e-5)
    np.testing.assert_allclose(distances, 1.0 - products.max(axis=1), atol=1e-5)
    assert (distances >= 0.0).all()


@pytest.mark.parametrize("copies", [2, 40])
def test_ties_go_to_the_first(copies):
    """Of equal centroids the first one gets all rows, in the same vector of lanes or in another."""
    centroids = np.tile(normal(5, 7), (copies, 1))
    labels, distances = assign(normal(5, 7), centroids)
    assert labels.tolist() == list(range(5))
    assert not distances.any()


def test_no_rows_get_no_labels():
    """Rows may be none."""
    labels, distances = assign(np.empty((0, 3), np.float32), np.zeros((2, 3), np.float32))
    assert labels.shape == distances.shape == (0,)


@pytest.mark.parametrize("way", WAYS)
def test_threads_change_nothing(way):
    """Centroids, labels and objectives are equal, bit for bit, on one thread and on two, and change with the seed."""
    rows = normal(N, 9)
    one, two, other = (
        kmeans(rows, 70, **way, seed=seed, threads=threads) for seed, threads in ((3, 1), (3, 2), (4, 2))
    )
    np.testing.assert_array_equal(one.centroids, two.centroids)
    np.testing.assert_array_equal(one.labels, two.labels)
    assert one.objective == two.objective
    assert not np.array_equal(one.centroids, other.centroids)


@given(st.integers(1, 80), st.integers(1, 12), st.integers(1, 6), st.integers(0, 99), st.booleans())
@settings(deadline=None, max_examples=50)
def test_the_objective_does_not_grow(n, k, dim, seed, spherical):
    """No iteration of Lloyd's makes rows lie farther from their centroids, and the last objective is the result's."""
    rows = normalise(normal(n, dim, seed))
    found = kmeans(rows, k, spherical=spherical, seed=seed)
    assert (np.diff(found.objective) <= 1e-6).all()
    labels, distances = assign(rows, found.centroids, spherical=spherical)
    np.testing.assert_array_equal(found.labels, labels)
    assert found.objective[-1] == pytest.approx(distances.mean(dtype=np.float64))


@pytest.mark.parametrize("init", ["sample", "k-means++"])
@pytest.mark.parametrize("iterations", [1, 2, 10])
def test_centroids_are_those_of_scikit_learn(init, iterations):
    """From the same first centroids, as many iterations lead to the same place."""
    rows = normal(N, 5) if init == "sample" else blobs(N, 5, 8)[0]
    first = kmeans(rows, 8, init=init, iterations=0, seed=2).centroids
    ours = kmeans(rows, 8, init=init, iterations=iterations, seed=2)
    oracle = KMeans(8, init=first, n_init=1, max_iter=iterations, tol=0.0, algorithm="lloyd")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("warnings.warn", lambda *_, **__: None)  # that it has not converged
        oracle.fit(rows)
    np.testing.assert_allclose(ours.centroids, oracle.cluster_centers_, rtol=1e-4, atol=1e-3)


def test_centroids_are_the_means_of_their_rows():
    """Where no label changes any more, each centroid is the mean of its rows, and iterations have ended."""
    rows, owners = blobs(N, 4, 5)
    found = kmeans(rows, 5, init="k-means++", iterations=100)
    assert len(found.objective) < 20
    for c in range(5):
        np.testing.assert_allclose(found.centroids[c], rows[found.labels == c].mean(axis=0), rtol=1e-4, atol=1e-4)
    assert len(set(zip(found.labels, owners, strict=True))) == 5


@pytest.mark.parametrize("seed", range(10))
def test_plus_plus_finds_all_blobs(seed):
    """Of five blobs far apart, each gets one of the first five centroids."""
    rows, owners = blobs(N, 6, 5, seed)
    first = kmeans(rows, 5, init="k-means++", iterations=0, seed=seed)
    assert len(set(owners[squared(first.centroids, rows).argmin(axis=1)])) == 5


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("spread", [0.0, 1.0])
@pytest.mark.parametrize(("n", "k", "dim"), [(1, 1, 1), (1, 4, 1), (9, 1, 3), (9, 9, 3), (5, 40, 3), (33, 32, 1)])
def test_any_shape(way, spread, n, k, dim):
    """One row, one dimension, one centroid, more centroids than rows, and rows of zeros: all have finite centroids."""
    rows = np.float32(spread) * normal(n, dim)
    found = kmeans(rows, k, **way)
    assert found.centroids.shape == (k, dim)
    assert np.isfinite(found.centroids).all()
    assert found.labels.shape == (n,)
    assert 0 <= found.labels.min() <= found.labels.max() < k
    if k >= n and "spherical" not in way and "batch" not in way:
        assert found.objective[-1] == pytest.approx(0.0, abs=1e-12)


@pytest.mark.parametrize(("batch", "used"), [(None, 10), (60, 7)])
@pytest.mark.parametrize("seed", range(5))
def test_centroids_without_rows_are_put_to_use(batch, used, seed):
    """Of rows that are copies of ten, most of one, ten centroids end with one of the ten each, most of them by batches.

    The first centroids are mostly that one row, over and over.
    """
    distinct = 10 * normal(10, 3)
    rows = distinct[np.r_[np.zeros(60, int), np.arange(10).repeat(3)]]
    assert len(np.unique(kmeans(rows, 10, iterations=0, seed=seed).labels)) < used
    found = kmeans(rows, 10, iterations=40, batch=batch, seed=seed)
    assert len(np.unique(found.labels)) >= used


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6])
def test_equal_rows_have_equal_centroids(value):
    """Where all rows are the same, all centroids are that row, and no time is lost."""
    rows = np.full((50, 3), value, np.float32)
    found = kmeans(rows, 4, init="k-means++", iterations=1000)
    np.testing.assert_array_equal(found.centroids, rows[:4])
    assert found.objective == (0.0,) * 3


@given(st.integers(2, 60), st.integers(1, 9), st.integers(1, 6), st.integers(0, 99), st.sampled_from([None, 20]))
@settings(deadline=None, max_examples=40)
def test_spherical_centroids_have_length_1(n, k, dim, seed, batch):
    """Whatever the length of the rows, and even if those of a centroid cancel out, its own is 1."""
    rows = normal(n, dim, seed) * np.float32(10.0 ** (seed % 5 - 2))
    rows[1] = -rows[0]
    found = kmeans(rows, k, spherical=True, batch=batch, seed=seed)
    np.testing.assert_allclose(np.linalg.norm(found.centroids, axis=1), 1.0, rtol=1e-6)


def test_mini_batches_come_close():
    """A few hundred small batches reach an objective within 5 % of Lloyd's."""
    rows = normal(N, 4)
    lloyd, batches = kmeans(rows, 6, iterations=30), kmeans(rows, 6, batch=50, iterations=200)
    assert batches.objective[-1] <= 1.05 * lloyd.objective[-1]
    assert len(batches.objective) == 201


def test_a_sample_labels_all_rows():
    """Centroids of a sample come near those of all rows, of which each gets its label."""
    rows, owners = blobs(N, 4, 5)
    found = kmeans(rows, 5, init="k-means++", sample=100)
    assert len(set(zip(found.labels, owners, strict=True))) == 5


def test_progress_hears_every_objective():
    """The callback is told each objective as it comes, with its number; the rows are left alone."""
    rows, heard = normal(50, 3), []
    before = rows.copy()
    found = kmeans(rows, 4, iterations=3, progress=lambda i, objective: heard.append((i, objective)))
    assert heard == list(enumerate(found.objective))
    np.testing.assert_array_equal(rows, before)


@given(st.lists(st.integers(0, 6), max_size=40))
@settings(deadline=None)
def test_groups_keep_the_order_of_rows(labels):
    """Members of each label come together, ascending, and every start is where its label begins."""
    labels = np.array(labels, np.int32)
    starts, members = np.zeros(8, np.int64), np.empty(len(labels), np.int32)
    group(labels, starts, members)
    np.testing.assert_array_equal(members, np.argsort(labels, kind="stable"))
    np.testing.assert_array_equal(starts, np.searchsorted(np.sort(labels), np.arange(8)))


def test_draws_follow_the_weights():
    """What is drawn is where the sum of weights passes the target, of rounding the last one; a weight of 0 never."""
    weights = np.array([0, 1, 0, 2, 0], np.float32)
    assert [draw(weights, target) for target in (0.0, 0.9, 1.0, 2.9, 3.0, 99.0)] == [1, 1, 3, 3, 3, 3]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"k": 0}, "k must be at least 1; got 0"),
        ({"iterations": -1}, "iterations must be at least 0; got -1"),
        ({"batch": 0}, "batch must be at least 1; got 0"),
        ({"sample": 0}, "sample must be at least 1; got 0"),
        ({"threads": 0}, "threads must be at least 1; got 0"),
        ({"init": "random"}, "init must be 'sample' or 'k-means\\+\\+'; got 'random'"),
        ({"rows": np.empty((0, 3), np.float32)}, "k-means needs rows; got none"),
        ({"rows": np.zeros(3, np.float32)}, r"rows must be \(n, dim\) with dim >= 1; got \(3,\)"),
        *(
            ({"rows": np.array([[1.0, bad]])}, "rows must hold no NaN")
            for bad in (np.nan, np.inf, -np.inf, 1e30, 1e300)
        ),
    ],
)
def test_bad_arguments(changes, message):
    """Each bad argument is named, with its value."""
    with pytest.raises(ParameterError, match=message):
        kmeans(**{"rows": normal(5, 3), "k": 2, **changes})


@pytest.mark.parametrize("shape", [(0, 3), (2, 4)])
def test_centroids_must_fit(shape):
    """No centroids, and those of other dimensions, are refused."""
    with pytest.raises(ParameterError, match=r"centroids must be \(k, 3\)"):
        assign(normal(5, 3), np.zeros(shape, np.float32))


def test_largest_rows_are_clustered():
    """Rows as large as is allowed have finite distances."""
    rows = np.array([[1e18, -1e18], [-1e18, 1e18], [1e18, -9e17]], np.float32)
    found = kmeans(rows, 2, init="k-means++")
    assert np.isfinite(found.objective).all()
    assert found.labels[0] == found.labels[2] != found.labels[1]
