"""Shared kernels against a line of NumPy each, on odd shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.kernels.codes.scaling import scale
from algorithms.kernels.jit import kernel
from algorithms.kernels.select.topk import insert, offer_block, select, sort_prefix
from algorithms.kernels.simd import instructions as simd
from algorithms.kernels.simd.aligned import CACHE_LINE, aligned_zeros
from algorithms.kernels.simd.distance import differing_bits, dot, exact_dot, exact_squared_l2, squared_l2
from algorithms.kernels.simd.instructions import (
    _lowest_bit_twin,
    _popcount_twin,
    lowest_bit,
    popcount,
    prefetch,
    prefetch_items,
)

SHAPES = [(1, 1), (3, 7), (5, 65), (2, 784)]


@pytest.mark.parametrize(("n", "dim"), SHAPES)
def test_distances(n, dim):
    """Every distance agrees with NumPy, to float32's rounding or float64's."""
    rng = np.random.default_rng(dim)
    rows, query = rng.standard_normal((n, dim), dtype=np.float32), rng.standard_normal(dim, dtype=np.float32)
    wide, wide_query = rows.astype(np.float64), query.astype(np.float64)
    for i in range(n):
        away = ((wide[i] - wide_query) ** 2).sum()
        assert squared_l2(rows, i, query) == pytest.approx(away, rel=1e-5)
        assert exact_squared_l2(rows, i, query) == pytest.approx(away, rel=1e-13)
        assert dot(rows, i, query) == pytest.approx(wide[i] @ wide_query, rel=1e-4, abs=1e-4)
        assert exact_dot(rows, i, query) == pytest.approx(wide[i] @ wide_query, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("dim", [1, 7, 65])
@pytest.mark.parametrize("length", [0.0, 1.0, 2.5])
def test_scale(dim, length):
    """A vector comes out at the length wanted, or as it is; zeros stay zeros, and what lies behind is left alone."""
    vector = np.random.default_rng(dim).standard_normal(dim, dtype=np.float32)
    wide, out = vector.astype(np.float64), np.full(dim + 1, 9.0, np.float32)
    own = np.sqrt(wide @ wide)
    assert scale(vector, length, out) == pytest.approx(length or own, rel=1e-6)
    np.testing.assert_allclose(out[:dim], wide * (length / own if length else 1.0), rtol=1e-6)
    assert scale(np.zeros(dim, np.float32), length, out) == 0.0
    assert out.tolist() == [0.0] * dim + [9.0]


def test_distances_keep_infinity_and_nan():
    """Fast mathematics must not assume sentinels away."""
    rows = np.array([[np.inf, 0.0], [np.nan, 0.0]], np.float32)
    query = np.zeros(2, np.float32)
    assert np.isinf(squared_l2(rows, 0, query))
    assert np.isnan(squared_l2(rows, 1, query))


@given(st.lists(st.integers(0, 2**64 - 1), min_size=1, max_size=9), st.integers(0, 2**64 - 1))
@settings(deadline=None)
def test_differing_bits(words, mask):
    """Bits are counted over all 64 of a word, the highest included."""
    rows = np.array([words], np.uint64)
    query = rows[0] ^ np.uint64(mask)
    assert differing_bits(rows, 0, query) == len(words) * mask.bit_count()


@given(st.lists(st.sampled_from([-1.5, 0.0, 0.25, 1.0, 3.0, np.inf]), min_size=1, max_size=200), st.data())
@settings(deadline=None)
def test_select(values, data):
    """The k smallest come first, whatever the ties, and the largest of them is returned."""
    k = data.draw(st.integers(1, len(values)))
    scores, ids = np.array(values), np.arange(len(values))
    kth = select(scores, ids, len(values), k)
    np.testing.assert_array_equal(np.sort(scores[:k]), np.sort(values)[:k])
    assert kth == np.sort(values)[k - 1]
    np.testing.assert_array_equal(np.array(values)[ids], scores)


@given(st.lists(st.integers(0, 6), min_size=0, max_size=150), st.data())
@settings(deadline=None)
def test_sort_prefix(values, data):
    """The prefix is sorted by distance, then id; the rest is left alone."""
    count = data.draw(st.integers(0, len(values)))
    distances = np.array(values, np.float64)
    ids = np.random.default_rng(0).permutation(len(values)).astype(np.int64)
    pairs = sorted(zip(distances[:count], ids[:count], strict=True))
    tail = ids[count:].copy()
    sort_prefix(distances, ids, count)
    assert list(zip(distances[:count], ids[:count], strict=True)) == pairs
    np.testing.assert_array_equal(ids[count:], tail)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=60), st.integers(1, 12))
@settings(deadline=None)
def test_insert_keeps_the_best(values, k):
    """Inserting what is below the worst gives the k smallest, the first of equals first."""
    distances, ids = np.full(k, np.inf), np.full(k, -1, np.int64)
    for i, value in enumerate(values):
        if value < distances[-1]:
            insert(distances, ids, float(value), i)
    expected = sorted((v, i) for i, v in enumerate(values))[:k]
    assert list(zip(distances, ids, strict=True))[: len(expected)] == expected


@pytest.mark.parametrize("n", [1, 31, 32, 33, 500])
@pytest.mark.parametrize("keep", [1, 7, 40])
def test_offer_block_keeps_every_candidate(n, keep):
    """After all blocks, the smallest scores are among the candidates."""
    rng = np.random.default_rng(n)
    keep = min(keep, n)
    products, offsets = rng.standard_normal((3, n), dtype=np.float32), rng.standard_normal(n, dtype=np.float32)
    thresholds, counts = np.full(3, np.inf, np.float32), np.zeros(3, np.int64)
    scores, ids = np.empty((3, 2 * keep), np.float32), np.empty((3, 2 * keep), np.int64)
    for first in range(0, n, 50):
        part = slice(first, first + 50)
        block = np.ascontiguousarray(products[:, part])
        offer_block(block, offsets[part], first, thresholds, counts, scores, ids, keep)
    for i in range(3):
        best = np.argsort(offsets - products[i], kind="stable")[:keep]
        assert set(best) <= set(ids[i, : counts[i]])


@given(st.integers(1, 2**63 - 1))
@settings(deadline=None)
def test_bits_equal_their_twins(mask):
    """Counting bits and finding the lowest one agree with Python's integers."""
    assert bits_in_kernel(np.int64(mask)) == (_popcount_twin(mask), _lowest_bit_twin(mask))


@pytest.mark.parametrize("dtype", [np.uint8, np.float32, np.int64])
@pytest.mark.parametrize("shape", [(300,), (20, 15), (1, 1)])
@pytest.mark.parametrize(
    ("i", "offset", "count"), [(0, 0, 0), (0, 0, 1), (5, 64, 40), (299, 0, 1000), (-7, -200, 3), (2**40, 0, 5)]
)
def test_prefetch_changes_nothing(dtype, shape, i, offset, count):
    """Asking for memory leaves it as it is, and does no harm where there is none: compiled, and by the twins."""
    array = np.arange(np.prod(shape)).astype(dtype).reshape(shape)
    before = array.copy()
    prefetch_in_kernel(array, i, offset, count)
    simd._prefetch_twin(array, i, offset)
    simd._prefetch_items_twin(array, i, count)
    np.testing.assert_array_equal(array, before)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(("n", "width"), [(1, 32), (3, 96), (7, 5)])
def test_aligned_zeros_begin_at_cache_lines(n, width, dtype):
    """An array begins where a line does, and there is a line behind its end that may be read."""
    array = aligned_zeros(n, width, dtype)
    assert (array.shape, array.dtype) == ((n, width), dtype)
    assert aligned_zeros(0, width, dtype).shape == (0, width)
    assert array.ctypes.data % CACHE_LINE == 0
    assert not array.any()
    memory = array
    while memory.base is not None:
        memory = memory.base
    assert memory.ctypes.data + memory.nbytes >= array.ctypes.data + array.nbytes + CACHE_LINE


@kernel
def prefetch_in_kernel(array, i, offset, count):
    """Call the intrinsics from compiled code."""
    prefetch(array, i, offset)
    prefetch_items(array, i, count)


@kernel
def bits_in_kernel(mask):
    """Call the intrinsics from compiled code."""
    return popcount(np.uint64(mask)), lowest_bit(mask)
