"""Exact distances against SciPy and against exact fractions, and the names of metrics."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import distance as scipy_distance

from harness.core.errors import ConfigError, UnknownNameError
from harness.data.metric import Metric, neighbour_distances, normalise, pack_bits, pair_distances
from harness.engines.contract import Sets

DIMENSIONS = st.sampled_from([1, 2, 7, 8, 65])
SEEDS = st.integers(0, 2**32 - 1)


def _all_pairs(m: int, n: int) -> tuple[np.ndarray, np.ndarray]:
    rows, ids = np.meshgrid(np.arange(m), np.arange(n), indexing="ij")
    return rows.ravel(), ids.ravel()


def _one(metric: Metric, a: np.ndarray, b: np.ndarray) -> float:
    zero = np.zeros(1, np.int64)
    return float(pair_distances(metric, a[None, :], b[None, :], zero, zero)[0])


def _sine_squared(a: np.ndarray, b: np.ndarray) -> Fraction:
    """1 - cos^2 of two float vectors, exactly."""
    x, y = [Fraction(float(v)) for v in a], [Fraction(float(v)) for v in b]
    dot = sum((p * q for p, q in zip(x, y, strict=True)), Fraction(0))
    return 1 - dot * dot / (sum(p * p for p in x) * sum(q * q for q in y))


@settings(max_examples=40, deadline=None)
@given(m=st.integers(1, 6), n=st.integers(1, 9), dim=DIMENSIONS, seed=SEEDS)
def test_dense_distances_are_those_of_scipy(m: int, n: int, dim: int, seed: int) -> None:
    """Euclidean, angular and inner-product distances of all pairs agree with SciPy in float64."""
    rng = np.random.default_rng(seed)
    queries, train = rng.normal(size=(m, dim)).astype(np.float32), rng.normal(size=(n, dim)).astype(np.float32)
    rows, ids = _all_pairs(m, n)
    wide, other = queries.astype(np.float64), train.astype(np.float64)
    expected = {
        Metric.EUCLIDEAN: scipy_distance.cdist(wide, other, "euclidean"),
        Metric.ANGULAR: scipy_distance.cdist(wide, other, "cosine"),
        Metric.IP: -wide @ other.T,
    }
    for metric, want in expected.items():
        got = pair_distances(metric, queries, train, rows, ids)
        assert got.dtype == np.float64
        np.testing.assert_allclose(got, want.ravel(), rtol=1e-9, atol=1e-13)


@settings(max_examples=40, deadline=None)
@given(m=st.integers(1, 5), n=st.integers(1, 8), dim=st.integers(1, 70), seed=SEEDS)
def test_hamming_distances_are_those_of_scipy_on_the_unpacked_bits(m: int, n: int, dim: int, seed: int) -> None:
    """The share over stored bits, rescaled to the true dimension, is SciPy's share over the bits."""
    rng = np.random.default_rng(seed)
    queries, train = rng.integers(0, 2, (m, dim)), rng.integers(0, 2, (n, dim))
    rows, ids = _all_pairs(m, n)
    packed, other = pack_bits(queries), pack_bits(train)
    assert packed.shape == (m, -(-dim // 8))
    got = pair_distances(Metric.HAMMING, packed, other, rows, ids) * 8 * packed.shape[1] / dim
    np.testing.assert_allclose(got, scipy_distance.cdist(queries, train, "hamming").ravel(), rtol=1e-12, atol=1e-15)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.sets(st.integers(0, 30), max_size=8), min_size=1, max_size=5),
    st.lists(st.sets(st.integers(0, 30), max_size=8), min_size=1, max_size=5),
)
def test_jaccard_distances_are_those_of_scipy(queries: list[set[int]], train: list[set[int]]) -> None:
    """Jaccard agrees with SciPy on indicator vectors, but two empty sets are far apart, as ann-benchmarks has it."""
    rows, ids = _all_pairs(len(queries), len(train))
    got = pair_distances(
        Metric.JACCARD, Sets.of([list(s) for s in queries]), Sets.of([list(s) for s in train]), rows, ids
    )
    for value, row, i in zip(got, rows, ids, strict=True):
        a, b = np.zeros(31, bool), np.zeros(31, bool)
        a[list(queries[row])], b[list(train[i])] = True, True
        want = scipy_distance.jaccard(a, b) if (a | b).any() else 1.0
        assert value == pytest.approx(want, abs=1e-12)


@settings(max_examples=60, deadline=None)
@given(dim=st.sampled_from([2, 7, 65, 300]), exponent=st.floats(-7, -1), scale=st.floats(-18, 18), seed=SEEDS)
def test_near_duplicates_keep_their_angle(dim: int, exponent: float, scale: float, seed: int) -> None:
    """The angular distance of near-duplicates is right to 1e-5 relative, where 1 - cos would have lost every digit."""
    rng = np.random.default_rng(seed)
    a = (rng.normal(size=dim) * 10.0**scale).astype(np.float32)
    b = (a * (1 + 10.0**exponent * rng.normal(size=dim))).astype(np.float32)
    sine2 = float(_sine_squared(a, b))
    exact = sine2 / (1 + np.sqrt(1 - sine2))
    assert abs(_one(Metric.ANGULAR, a, b) - exact) <= 1e-5 * exact + 1e-30


@pytest.mark.parametrize("seed", range(5))
def test_neighbouring_floats_keep_their_angle(seed: int) -> None:
    """Vectors that differ in the last bit of one float32 coordinate are told apart, to 1e-5 relative."""
    a = np.random.default_rng(seed).normal(size=100).astype(np.float32)
    b = a.copy()
    b[3] = np.nextafter(b[3], np.float32(np.inf))
    sine2 = float(_sine_squared(a, b))
    exact = sine2 / (1 + np.sqrt(1 - sine2))
    assert exact > 0
    assert _one(Metric.ANGULAR, a, b) == pytest.approx(exact, rel=1e-5)
    assert _one(Metric.ANGULAR, a, a) == 0.0
    assert _one(Metric.ANGULAR, a, (2 * a).astype(np.float32)) == 0.0
    assert _one(Metric.ANGULAR, a, -a) == pytest.approx(2.0, rel=1e-14)


@pytest.mark.parametrize("size", [1e-38, 1e-30, 1e-20, 1.0, 1e18, 1e37])
def test_extreme_lengths_neither_overflow_nor_vanish(size: float) -> None:
    """Float32 rows from 1e-38 to 1e37 give finite distances in proportion, and keep their direction."""
    rng = np.random.default_rng(1)
    a, b = (rng.normal(size=(2, 65)) * size).astype(np.float32)
    exact = np.sqrt(float(sum((Fraction(float(x)) - Fraction(float(y))) ** 2 for x, y in zip(a, b, strict=True))))
    assert _one(Metric.EUCLIDEAN, a, b) == pytest.approx(exact, rel=1e-12)
    sine2 = float(_sine_squared(a, b))
    cosine = np.sign(np.dot(a.astype(float) / size, b.astype(float))) * np.sqrt(1 - sine2)
    assert _one(Metric.ANGULAR, a, b) == pytest.approx(1 - cosine, rel=1e-9)
    assert np.isfinite(_one(Metric.IP, a, b))
    assert _one(Metric.IP, a, b) != 0.0
    np.testing.assert_allclose(np.linalg.norm(normalise(a[None, :])[0].astype(float)), 1.0, rtol=1e-6)


def test_normalise_keeps_zero_rows_and_the_callers_array() -> None:
    """Rows of zeros stay zeros, the input is not written to, and the output is C-contiguous float32."""
    rows = np.asfortranarray(np.array([[3.0, 4.0], [0.0, 0.0], [-1e-30, 0.0]], np.float32))
    rows.flags.writeable = False
    unit = normalise(rows)
    np.testing.assert_allclose(unit, [[0.6, 0.8], [0, 0], [-1, 0]], rtol=1e-7)
    assert unit.dtype == np.float32
    assert unit.flags.c_contiguous
    assert normalise(np.ones((0, 5), np.float32)).shape == (0, 5)


def test_normalise_takes_float64_beyond_the_range_of_its_squares() -> None:
    """Rows whose squares overflow or vanish in float64 keep their direction, too."""
    unit = normalise(np.array([[3e200, 4e200], [3e-200, 4e-200], [3.0, 4.0]]))
    np.testing.assert_allclose(unit, [[0.6, 0.8]] * 3, rtol=1e-6)


def test_zero_vectors_are_as_far_as_orthogonal_ones() -> None:
    """A row of zeros has angular distance 1 to everything, itself included, and never NaN."""
    zero, one = np.zeros(7, np.float32), np.ones(7, np.float32)
    assert _one(Metric.ANGULAR, zero, one) == 1.0
    assert _one(Metric.ANGULAR, one, zero) == 1.0
    assert _one(Metric.ANGULAR, zero, zero) == 1.0


def test_padding_is_infinitely_far() -> None:
    """Ids of -1 give inf, wherever they stand, and the others keep their place."""
    queries, train = np.zeros((2, 1), np.float32), np.array([[1.0], [2.0], [5.0]], np.float32)
    got = neighbour_distances(Metric.EUCLIDEAN, queries, train, np.array([[2, -1, 0], [-1, -1, -1]]))
    np.testing.assert_array_equal(got, [[5.0, np.inf, 1.0], [np.inf] * 3])
    assert neighbour_distances(Metric.EUCLIDEAN, queries, train, np.empty((2, 0), np.int64)).shape == (2, 0)


def test_many_pairs_are_computed_in_blocks_without_seams() -> None:
    """More pairs than one block give the same distances as each pair alone."""
    rng = np.random.default_rng(3)
    queries, train = rng.normal(size=(3, 2)).astype(np.float32), rng.normal(size=(50, 2)).astype(np.float32)
    rows, ids = rng.integers(0, 3, 40_000), rng.integers(0, 50, 40_000)
    whole = scipy_distance.cdist(queries.astype(float), train.astype(float))
    np.testing.assert_allclose(pair_distances(Metric.EUCLIDEAN, queries, train, rows, ids), whole[rows, ids], rtol=1e-9)
    assert len(normalise(rng.normal(size=(40_000, 2)))) == 40_000


@pytest.mark.parametrize(
    ("name", "metric"),
    [
        ("euclidean", Metric.EUCLIDEAN),
        ("L2", Metric.EUCLIDEAN),
        ("cosine", Metric.ANGULAR),
        ("normalized", Metric.ANGULAR),
        ("Angular", Metric.ANGULAR),
        ("dot", Metric.IP),
        ("inner_product", Metric.IP),
        ("MIPS", Metric.IP),
        ("HAMMING", Metric.HAMMING),
        ("jaccard", Metric.JACCARD),
    ],
)
def test_aliases_are_understood(name: str, metric: Metric) -> None:
    """The names that other tools use, in any case, mean our five metrics."""
    assert Metric(name) is metric


def test_an_unknown_metric_suggests_the_nearest() -> None:
    """A misspelt metric is refused with a suggestion, and a stranger with the list."""
    with pytest.raises(UnknownNameError, match="did you mean euclidean"):
        Metric("euclidian")
    with pytest.raises(UnknownNameError, match=r"known: .*jaccard"):
        Metric(123)


def test_only_bits_can_be_packed() -> None:
    """Values other than 0 and 1 are refused, NaN included; booleans and floats 0.0 and 1.0 pass."""
    for wrong in ([[0, 2]], [[0.5, 1]], [[np.nan, 0]], [[-1, 0]]):
        with pytest.raises(ConfigError, match="other than 0 and 1"):
            pack_bits(np.array(wrong))
    assert pack_bits(np.array([[1.0, 0.0, 1.0]])).tolist() == [[160]]
    assert pack_bits(np.array([[True] * 9])).tolist() == [[255, 128]]
