"""Locality-sensitive hashing: its theory, its buckets, and the index against brute force."""

from __future__ import annotations

import numba
import numpy as np
import pytest
from scipy import integrate, stats

from algorithms.lsh import LSH, hash_kernels, theory, tuning
from algorithms.lsh.hadamard import random_signs, rotate, rotation_size
from harness.core.errors import ParameterError
from harness.data.metric import Metric, neighbour_distances

# Keys are sums modulo 2^64: without the compiler NumPy remarks on each that wraps around.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")

METRICS = [Metric.EUCLIDEAN, Metric.ANGULAR, Metric.IP]
INTERPRETED = bool(numba.config.DISABLE_JIT)
EVERYTHING = {"n_probes": 10**9, "n_candidates": 10**9}
# An endless reach times a distance of 0 is a NaN, which no score is above: what it should do, but NumPy remarks on it.
endless_reach = pytest.mark.filterwarnings("ignore:invalid value encountered in .*multiply")


@pytest.fixture(autouse=True)
def _small_samples(monkeypatch):
    """Tune on few queries where kernels are interpreted."""
    if INTERPRETED:
        monkeypatch.setattr(tuning, "SAMPLE", 2)


def vectors(n, dim, seed=0):
    """Draw vectors in a few clusters, away from the origin, read-only."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).standard_normal((8, dim)) * 2 + 1
    rows = (centres[rng.integers(0, 8, n)] + rng.standard_normal((n, dim))).astype(np.float32)
    rows.flags.writeable = False
    return rows


def built(metric, train, threads=1, **parameters):
    index = LSH(metric, **parameters)
    index.fit(train, threads=threads)
    return index


def narrow(metric):
    """Give the width that splits these vectors into many buckets, where there is one."""
    return {"bucket_width": 12.0} if metric is Metric.EUCLIDEAN else {}


def truth(metric, train, queries, k):
    every = np.tile(np.arange(len(train)), (len(queries), 1))
    return np.sort(neighbour_distances(metric, queries, train, every), axis=1)[:, :k]


def recall(metric, train, queries, ids):
    kth = truth(metric, train, queries, ids.shape[1])[:, -1:]
    return (neighbour_distances(metric, queries, train, ids) <= kth + 1e-5 * np.abs(kth)).mean()


def projected(pair, blocks, seed):
    """Project two vectors (2, dim) by `blocks` random rotations, (2, blocks * size)."""
    dim = pair.shape[1]
    size = rotation_size(dim)
    signs = random_signs(np.random.default_rng(seed), blocks, dim)
    out = np.empty((2, blocks * size), np.float32)
    for i in range(2):
        rotate(pair[i], np.zeros(dim, np.float32), signs, np.empty(size, np.float32), out[i])
    return out


def assert_share(hits, expected):
    """Check a share of independent hits against its probability, within 4.5 standard deviations."""
    n = len(hits)
    assert abs(np.mean(hits) - expected) <= 4.5 * np.sqrt(expected * (1 - expected) / n) + 0.5 / n


@pytest.mark.parametrize("dim", [2, 30, 100, 784])
@pytest.mark.parametrize("angle", [0.1, 0.8, np.pi / 2, 2.5])
def test_hyperplanes_collide_as_charikar_says(dim, angle):
    """Two vectors fall on the same side of a hyperplane with probability 1 - angle / pi."""
    rng = np.random.default_rng(dim)
    basis = np.linalg.qr(rng.standard_normal((dim, 2)))[0].T
    pair = np.array([3 * basis[0], 0.2 * (np.cos(angle) * basis[0] + np.sin(angle) * basis[1])], np.float32)
    a, b = projected(pair, 2048 // rotation_size(dim) + 1, seed=dim)
    hits = [hash_kernels.hyperplane(x) == hash_kernels.hyperplane(y) for x, y in zip(a, b, strict=True)]
    assert_share(hits, theory.hyperplane_collision(angle))


@pytest.mark.parametrize("dim", [1, 30, 784])
@pytest.mark.parametrize("ratio", [0.3, 1.0, 4.0])
def test_p_stable_projections_collide_as_datar_says(dim, ratio):
    """Two vectors at distance c share a bucket of width w with the probability of Datar et al., section 3.2."""
    rng = np.random.default_rng(dim)
    direction = rng.standard_normal(dim)
    distance = 2.5
    x = rng.standard_normal(dim)
    pair = np.array([x, x + distance * direction / np.linalg.norm(direction)], np.float32)
    a, b = projected(pair, 2048 // rotation_size(dim) + 1, seed=dim)
    width = ratio * distance
    offsets = (width * rng.random(a.size)).astype(np.float32)
    hits = [hash_kernels.p_stable(*p, width) == hash_kernels.p_stable(*q, width) for p, q in zip(
        zip(a, offsets, strict=True), zip(b, offsets, strict=True), strict=True)]  # fmt: skip
    assert_share(hits, theory.p_stable_collision(distance, width))


@pytest.mark.parametrize("ratio", [0.05, 0.7, 3.0, 40.0])
def test_closed_form_is_the_integral(ratio):
    """Datar et al.'s closed form is the integral that it solves: of the density of |a.x - a.y|, times 1 - t / w."""
    value, _ = integrate.quad(lambda t: 2 * stats.norm.pdf(t) * (1 - t / ratio), 0, min(ratio, 40), limit=200)
    assert theory.p_stable_collision(1.0, ratio) == pytest.approx(value, abs=1e-7)
    assert theory.p_stable_collision(5.0, 5.0 * ratio) == pytest.approx(value, abs=1e-7)
    assert theory.p_stable_collision(0.0, ratio) == 1.0


@pytest.mark.parametrize("family", ["hyperplanes", "p-stable"])
def test_tables_find_what_theory_expects(family):
    """The share of pairs that meet in the own bucket of one table at least is the mean of 1 - (1 - p^K)^L."""
    dim, n_tables, n_functions, n = 40, 4, 5, 400 if not INTERPRETED else 40
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((2, n, dim))
    y = x + rng.uniform(0.1, 1.5, (n, 1)) * y / np.sqrt(dim) * np.sqrt(dim) * 0.5
    width = 8.0 if family == "p-stable" else 0.0
    if width:
        collision = theory.p_stable_collision(np.linalg.norm(x - y, axis=1), width)
    else:
        cosines = (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
        collision = theory.hyperplane_collision(np.arccos(cosines))
    hits = []
    for i in range(n):  # functions of its own for each pair, so that pairs are independent
        a, b = projected(np.array([x[i], y[i]], np.float32), 1, seed=i)
        multipliers = rng.integers(0, 2**64, (n_tables, n_functions), np.uint64)
        offsets = (width * rng.random((n_tables, n_functions))).astype(np.float32)
        parts = [slice(t * n_functions, (t + 1) * n_functions) for t in range(n_tables)]
        keys = [
            [hash_kernels.table_key(v[part], multipliers[t], offsets[t], width) for t, part in enumerate(parts)]
            for v in (a, b)
        ]
        hits.append(any(p == q for p, q in zip(*keys, strict=True)))
    assert_share(hits, theory.expected_recall(collision, n_tables, n_functions))


def test_parameters_from_theory():
    """Bits and widths chosen by theory leave as many vectors to a bucket as they should."""
    distances = np.random.default_rng(0).uniform(1, 3, 500)
    width = theory.width_for_bucket(distances, 8, 10_000, 50.0)
    assert theory.expected_bucket(theory.p_stable_collision(distances, width), 8, 10_000) == pytest.approx(50, rel=1e-3)
    collision = theory.hyperplane_collision(distances / 2)
    bits = theory.bits_for_bucket(collision, 10_000, 50.0, 24)
    sizes = [theory.expected_bucket(collision, b, 10_000) for b in (bits - 1, bits)]
    assert sizes[1] <= 50 < sizes[0]
    assert theory.bits_for_bucket(np.ones(3), 10_000, 50.0, 24) == 24
    assert theory.width_for_bucket(np.zeros(3), 8, 100, 50.0) == 1.0


@pytest.mark.parametrize("width", [0.0, 1.5])
def test_perturbations_change_one_value(width):
    """Each perturbation leads to the key of the values with one changed by one, at its squared boundary distance."""
    rng = np.random.default_rng(3)
    n_functions = 6
    projections = (4 * rng.standard_normal(n_functions)).astype(np.float32)
    multipliers = rng.integers(0, 2**64, n_functions, np.uint64)
    offsets = (width * rng.random(n_functions)).astype(np.float32)
    count = n_functions * (2 if width else 1)
    scores, changes = np.empty(count, np.float32), np.empty(count, np.uint64)
    functions = np.empty(count, np.uint8)
    assert hash_kernels.perturbations(projections, multipliers, offsets, width, scores, changes, functions) == count
    expected = []
    for i in range(n_functions):
        if width:
            place = (projections[i] + offsets[i]) / width
            below = (place - np.floor(place)) * width
            expected += [(below**2, i, -1), ((width - below) ** 2, i, 1)]
        else:
            expected.append((projections[i] ** 2, i, 1 if projections[i] <= 0 else -1))
    expected.sort()
    np.testing.assert_allclose(scores, [score for score, _, _ in expected], rtol=1e-3, atol=1e-4)
    assert functions.tolist() == [i for _, i, _ in expected]
    assert [int(c) for c in changes] == [(sign * int(multipliers[i])) % 2**64 for _, i, sign in expected]


@pytest.mark.parametrize("metric", METRICS)
def test_buckets_are_those_of_numpy(metric):
    """Each table groups all vectors by their slot, in the order of a stable sort, as the hash functions say."""
    train = vectors(300, 12)
    index = built(metric, train, n_tables=3, n_bits=5, **narrow(metric))
    tables, hashes = index._tables, index._hashes
    slots = np.empty((3, 300), np.int32)
    sketches = np.empty((300, tables.codes.shape[1] // (16 * -(-300 // 32))), np.uint8)
    rows = index._lifted(train if metric is not Metric.ANGULAR else index._rows.exact)
    hash_kernels.hash_rows(rows, 0, 300, hashes, sketches, slots)
    assert len(np.unique(slots)) > 3
    for t in range(3):
        order = np.argsort(slots[t], kind="stable")
        np.testing.assert_array_equal(tables.ids[t], order)
        starts = np.searchsorted(slots[t][order], np.arange(tables.directory.shape[1]))
        np.testing.assert_array_equal(tables.directory[t], starts)


@endless_reach
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(("n", "dim"), [(1, 1), (2, 3), (40, 7), (200, 65), (500, 1)])
def test_all_buckets_and_candidates_are_exact_search(metric, n, dim):
    """With every bucket opened and every candidate ranked, distances are those of brute force; k > n is padded."""
    train, queries = vectors(n, dim), vectors(5, dim, seed=1)
    search = built(metric, train).searcher(**EVERYTHING)
    expected = truth(metric, train, queries, 10)
    for ids in (search(queries, 10), np.concatenate([search(queries[i : i + 1], 10) for i in range(5)])):
        found = neighbour_distances(metric, queries, train, ids)
        np.testing.assert_allclose(found[:, :n], expected[:, :n], rtol=1e-4, atol=1e-5)
        assert (ids[:, n:] == -1).all()


@pytest.mark.parametrize("metric", METRICS)
def test_auto_reaches_the_target(metric):
    """What `auto` chooses finds the share of neighbours that was asked for, on queries that it hasn't seen."""
    train, queries = vectors(600 if INTERPRETED else 6000, 24), vectors(10 if INTERPRETED else 100, 24, seed=1)
    index = built(metric, train, target_recall=0.9)
    ids = index.searcher()(queries, 10)
    assert recall(metric, train, queries, ids) >= (0.5 if INTERPRETED else 0.84)
    assert {"n_tables", "n_bits", "sketch_dim", "n_candidates", "reach"} <= set(index.effective)
    assert ("bucket_width" in index.effective) == (metric is Metric.EUCLIDEAN)
    counts = index.counters()
    assert counts["probes"] > 0
    if not INTERPRETED:
        assert counts["candidates"] < 4 * len(train) * len(queries)


@pytest.mark.parametrize("metric", METRICS)
def test_more_probes_find_more(metric):
    """Recall grows with the number of buckets; the counters say what was done."""
    train, queries = vectors(800 if INTERPRETED else 3000, 24), vectors(8 if INTERPRETED else 50, 24, seed=1)
    index = built(metric, train, n_tables=2, n_bits=10, **narrow(metric))
    shares = []
    for n_probes in (2, 20, 200):
        ids = index.searcher(n_probes=n_probes, n_candidates=100)(queries, 10)
        shares.append(recall(metric, train, queries, ids))
        assert index.counters()["probes"] == n_probes * len(queries)
    # Sketches rank what buckets hold, so that a single neighbour may drop out as others come in.
    assert shares[0] - 0.02 <= shares[1] <= shares[2] + 0.02
    assert shares[2] > shares[0]
    index.searcher(reach=0.0, n_candidates=100)(queries, 10)
    assert index.counters()["probes"] >= 2 * len(queries)


@pytest.mark.parametrize("metric", METRICS)
def test_threads_change_nothing(metric):
    """Tables and answers are the same for every number of threads."""
    train, queries = vectors(300 if INTERPRETED else 9000, 20), vectors(7, 20, seed=1)
    one, two = (built(metric, train, threads=threads, n_tables=3) for threads in (1, 2))
    for a, b in zip(one._tables, two._tables, strict=True):
        np.testing.assert_array_equal(a, b)
    assert one.effective == two.effective
    expected = one.searcher()(queries, 5)
    np.testing.assert_array_equal(two.searcher(threads=3)(queries, 5), expected)
    singly = [one.searcher()(queries[i : i + 1], 5)[0] for i in range(7)]
    np.testing.assert_array_equal(singly, expected)


@pytest.mark.parametrize("metric", METRICS)
def test_reads_what_it_saved(metric, tmp_path):
    """An index that was saved gives the same answers, its tuned parameters included."""
    train, queries = vectors(400, 9), vectors(6, 9, seed=1)
    index = built(metric, train)
    index.save(tmp_path / "index")
    other = LSH(metric)
    other.load(tmp_path / "index")
    np.testing.assert_array_equal(other.searcher()(queries, 4), index.searcher()(queries, 4))
    assert other.index_bytes() == index.index_bytes() > train.nbytes
    assert other.effective == index.effective


@endless_reach
@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("kind", ["constant", "copies", "zeros", "whole numbers", "huge"])
def test_odd_data(metric, kind):
    """Constant data, copies, rows of zeros, whole numbers and great lengths give as many valid ids as there are."""
    train = np.array(vectors(120, 9))
    if kind == "constant":
        train[:] = train[0]
    elif kind == "copies":
        train[:] = np.repeat(train[:6], 20, axis=0)
    elif kind == "zeros":
        train[::3] = 0.0
    elif kind == "whole numbers":
        train = np.rint(10 * train)
    elif kind == "huge":
        train *= np.float32(1e6)
    before = train.copy()
    queries = np.concatenate([train[:4], np.zeros((1, 9), np.float32)])
    ids = built(metric, train).searcher(**EVERYTHING)(queries, 10)
    np.testing.assert_array_equal(train, before)
    assert (ids >= 0).all()
    assert all(len(set(row)) == 10 for row in ids)
    found = neighbour_distances(metric, queries, train, ids)
    np.testing.assert_allclose(found, truth(metric, train, queries, 10), rtol=1e-3, atol=1e-4 * max(1, found.max()))


def test_no_vectors():
    """An index over nothing finds nothing."""
    for metric in METRICS:
        ids = built(metric, np.empty((0, 5), np.float32)).searcher()(np.ones((2, 5), np.float32), 3)
        assert ids.tolist() == [[-1, -1, -1]] * 2


@pytest.mark.parametrize(
    ("metric", "parameters", "named"),
    [
        ("hamming", {}, "metric hamming"),
        ("euclidean", {"n_tables": 0}, "n_tables = 0"),
        ("euclidean", {"n_bits": 65}, "n_bits = 65"),
        ("angular", {"n_bits": 25}, "n_bits = 25"),
        ("euclidean", {"bucket_width": 0.0}, "bucket_width = 0.0"),
        ("angular", {"bucket_width": 2.0}, "bucket_width = 2.0"),
        ("ip", {"sketch_dim": 48}, "sketch_dim = 48"),
        ("ip", {"target_recall": 1.0}, "target_recall = 1.0"),
    ],
)
def test_bad_parameters_are_named(metric, parameters, named):
    """A value that can't be used is named, with what can."""
    with pytest.raises(ParameterError, match=f"{named}.*; use|{named} is not supported; use"):
        LSH(Metric(metric), **parameters)


@pytest.mark.parametrize("parameters", [{"n_probes": 0}, {"n_candidates": 0}, {"reach": -1.0}, {"reach": np.nan}])
def test_bad_search_parameters_are_named(parameters):
    """A search parameter that can't be used is named, with what can."""
    index = built(Metric.EUCLIDEAN, vectors(10, 3))
    with pytest.raises(ParameterError, match=f"{next(iter(parameters))} = .*; use"):
        index.searcher(**parameters)


@pytest.mark.skipif(numba.config.DISABLE_JIT, reason="NumPy warns of what compiled code does in silence")
@pytest.mark.parametrize("metric", [Metric.EUCLIDEAN, Metric.ANGULAR, Metric.IP])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e20, 1e38, 1e-40])
def test_no_query_does_harm(metric, value):
    """Queries that are no numbers, endless or extreme get valid ids or none, and spoil nothing for the next."""
    train = vectors(600, 30)
    search = built(metric, train).searcher()
    before = search(train[:20], 5)
    for odd in (np.where(np.arange(30) == 7, value, train[:1]), np.full((1, 30), value)):
        ids = search(odd.astype(np.float32), 5)[0]
        assert ((ids >= -1) & (ids < 600)).all()
    np.testing.assert_array_equal(search(train[:20], 5), before)


def test_other_dimensions_and_no_neighbours():
    """Queries of another dimension are refused; where none are asked for, none are given."""
    search = built(Metric.EUCLIDEAN, vectors(200, 30)).searcher(n_candidates=50)
    for dim in (29, 100):
        with pytest.raises(ParameterError, match=f"queries of {dim} dimensions, but rows of 30"):
            search(vectors(2, dim), 5)
    assert search(vectors(2, 30), 0).shape == (2, 0)
    assert search(vectors(0, 30), 5).shape == (0, 5)
