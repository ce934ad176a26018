"""Distances as integers that order: over codes they are exact, over floats they order as the floats do."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from algorithms.kernels.codes.rows import (
    code_rank,
    encode_query,
    float_rank,
    load_row,
    prefetch_row,
    query_offset,
    rank,
)
from algorithms.kernels.codes.scalar_quantizer import (
    ScalarQuantizer,
    allocate_codes,
    code_stride,
    make_encoder,
    query_width,
)
from algorithms.kernels.jit import kernel

DIMS = [1, 7, 60, 61, 63, 64, 65, 784]
LEAST, MOST = -128, 127


@kernel
def rank_in_kernel(rows, i, query, offset):
    """Call `rank` from compiled code, where the types of the arguments choose between codes and floats."""
    return rank(rows, i, query, offset)


@kernel
def load_row_in_kernel(rows, i, query, inner):
    """Call `load_row` from compiled code, and prefetch the row first, which must change nothing."""
    prefetch_row(rows, i)
    return load_row(rows, i, query, inner)


def laid_out(whole, *, inner=False, packed=False):
    """Lay out integers (n, dim) from -128 to 127 as rows of codes, as the docstring of the module says."""
    n, dim = whole.shape
    rows = allocate_codes(n, code_stride(dim, packed=packed))
    rows[:] = 128
    rows[:, :dim] = whole + 128
    norms = np.zeros(n, np.int32) if inner else (whole.astype(np.int64) ** 2).sum(axis=1).astype(np.int32)
    rows[:, -4:] = norms[:, None].view(np.uint8)
    return rows


def as_query(whole, stride):
    """Return integers (dim,) as a query's codes for rows of a stride."""
    query = np.zeros(query_width(stride), np.int8)
    query[: len(whole)] = whole
    return query


def integers(seed, n, dim):
    """Draw codes of which a third are the extremes."""
    rng = np.random.default_rng(seed)
    return np.where(
        rng.random((n, dim)) < 1 / 3, rng.choice([LEAST, MOST], (n, dim)), rng.integers(LEAST, 128, (n, dim))
    )


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dim", DIMS)
def test_rank_of_codes_is_the_squared_distance(dim, packed):
    """A rank is |c - q|^2 exactly, in rows of both strides, for codes at both extremes too; so by the overload."""
    whole, wanted = integers(dim, 5, dim), integers(dim + 1, 1, dim)[0]
    rows = laid_out(whole, packed=packed)
    query = as_query(wanted, rows.shape[1])
    offset = query_offset(query, inner=False)
    expected = ((whole - wanted) ** 2).sum(axis=1)
    for i in range(5):
        assert code_rank(rows, i, query, offset) == expected[i]
        assert rank_in_kernel(rows, i, query, offset) == rank(rows, i, query, offset) == expected[i]


@pytest.mark.parametrize("dim", DIMS)
def test_rank_of_codes_for_inner_products(dim):
    """With norms of zero, a rank is -2 c.q exactly: it orders as minus the inner product does."""
    whole, wanted = integers(dim, 5, dim), integers(dim + 1, 1, dim)[0]
    rows = laid_out(whole, inner=True)
    query = as_query(wanted, rows.shape[1])
    offset = query_offset(query, inner=True)
    assert [code_rank(rows, i, query, offset) for i in range(5)] == (-2 * whole @ wanted).tolist()


@pytest.mark.parametrize(("code", "factor"), [(LEAST, MOST), (MOST, LEAST), (LEAST, LEAST), (MOST, MOST)])
def test_rank_of_the_most_dimensions_fits(code, factor):
    """At 30,000 dimensions the greatest distance is exact, and still an int32, as keys need it."""
    rows = laid_out(np.full((1, 30_000), code))
    query = as_query(np.full(30_000, factor), rows.shape[1])
    distance = code_rank(rows, 0, query, query_offset(query, inner=False))
    assert distance == 30_000 * (code - factor) ** 2 <= np.iinfo(np.int32).max


@given(st.lists(st.integers(LEAST, MOST), max_size=80), st.booleans())
@example(codes=[LEAST] * 80, inner=False)
@example(codes=[], inner=True)
@settings(deadline=None)
def test_query_offset(codes, inner):
    """The offset is |q|^2 + 256 sum(q), without the square under inner products, and 0 of an empty query."""
    squares = 0 if inner else sum(code * code for code in codes)
    assert query_offset(np.array(codes, np.int8), inner) == squares + 256 * sum(codes)


@given(st.integers(1, 9), st.data())
@settings(deadline=None)
def test_float_ranks_order_as_distances(dim, data):
    """Of two rows the one whose distance is less has the lower rank, whatever the sign; equal ones have the same."""
    values = st.lists(st.integers(-40, 40), min_size=3 * dim, max_size=3 * dim)
    # Small multiples of 1/8: every product and sum is exact in float32, so that NumPy's order is the true one.
    rows = np.array(data.draw(values), np.float32).reshape(3, dim) / 8
    query = rows[2].copy()
    for inner, distances in ((0, ((rows - query) ** 2).sum(axis=1)), (1, -rows @ query)):
        ranks = [int(float_rank(rows, i, query, inner)) for i in range(2)]
        assert np.iinfo(np.int32).min <= min(ranks) <= max(ranks) <= np.iinfo(np.int32).max
        if distances[0] != distances[1]:
            assert (ranks[0] < ranks[1]) == (distances[0] < distances[1])
        elif distances[0] != 0:  # two zeros may differ in sign, and then in rank
            assert ranks[0] == ranks[1]


@given(st.floats(width=32, allow_nan=False), st.floats(width=32, allow_nan=False))
@example(-1e-45, 1e-45)
@example(float("-inf"), -3e38)
@settings(deadline=None)
def test_float_ranks_of_any_inner_product(left, right):
    """Ranks of minus inner products order as floats over their whole range: denormal, negative and infinite ones."""
    rows, one = np.array([[left], [right]], np.float32), np.ones(1, np.float32)
    first, second = float_rank(rows, 0, one, 1), float_rank(rows, 1, one, 1)
    if left != right:
        assert (first < second) == (-left < -right)


@pytest.mark.parametrize("dim", DIMS)
@pytest.mark.parametrize("inner", [0, 1])
def test_rank_of_floats(dim, inner):
    """The overload takes floats for what they are: the rank is that of `float_rank`, its bits those of the distance."""
    rng = np.random.default_rng(dim)
    rows, query = rng.standard_normal((4, dim), np.float32), rng.standard_normal(dim, np.float32)
    for i in range(4):
        found = float_rank(rows, i, query, inner)
        assert rank_in_kernel(rows, i, query, inner) == found
        bits = np.int32(found if found >= 0 else found ^ 0x7FFFFFFF)
        wide = rows[i].astype(np.float64)
        expected = -wide @ query if inner else ((wide - query) ** 2).sum()
        assert float(bits.view(np.float32)) == pytest.approx(expected, rel=1e-4, abs=1e-4)


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("dim", DIMS)
def test_a_loaded_row_is_at_distance_zero_of_itself(dim, packed):
    """A row taken for a query has its own codes, zeros behind them, and the distances to all others."""
    whole = integers(dim, 6, dim)
    rows = laid_out(whole, packed=packed)
    query = np.full(query_width(rows.shape[1]), 99, np.int8)
    for i in range(6):
        offset = load_row_in_kernel(rows, i, query, inner=False)
        assert query[:dim].tolist() == whole[i].tolist()
        assert not query[dim:].any()
        ranks = [rank_in_kernel(rows, j, query, offset) for j in range(6)]
        assert ranks == ((whole - whole[i]) ** 2).sum(axis=1).tolist()
        by_interpreter = np.full_like(query, 99)
        assert load_row(rows, i, by_interpreter, inner=False) == offset
        np.testing.assert_array_equal(by_interpreter, query)


@pytest.mark.parametrize("inner", [False, True])
def test_a_loaded_row_of_floats(inner):
    """A float row becomes the query as it is, and the offset says which distance is meant."""
    rows = np.random.default_rng(0).standard_normal((3, 7), np.float32)
    query = np.empty(7, np.float32)
    assert load_row_in_kernel(rows, 2, query, inner) == int(inner) == load_row(rows, 2, query.copy(), inner)
    np.testing.assert_array_equal(query, rows[2])


def encoded(quantizer, vector):
    """Return a query's codes and their offset, the buffers around them made as searches make them."""
    encoder = make_encoder(quantizer, len(vector), query_width(code_stride(quantizer.dim)))
    offset = encode_query(vector, quantizer.inner, quantizer.scale, encoder)
    return encoder.codes, offset


@pytest.mark.parametrize("inner", [False, True])
@pytest.mark.parametrize("dim", DIMS)
def test_a_query_is_encoded_as_rows_are(dim, inner):
    """Query and row of one vector have one code, cut off at both ends, and the offset goes with the codes."""
    rng = np.random.default_rng(dim)
    mean = np.zeros(dim, np.float32) if inner else rng.standard_normal(dim, np.float32)
    quantizer = ScalarQuantizer(mean, np.empty((0, dim), np.float32), 50.0, exact=False, inner=inner)
    for spread in (1.0, 30.0):  # the second leaves the range of most codes
        vector = (spread * rng.standard_normal(dim)).astype(np.float32)
        before = vector.copy()
        codes, offset = encoded(quantizer, vector)
        expected = quantizer.encode(vector[None])[0, :dim].astype(int) - 128
        assert codes[:dim].tolist() == expected.tolist()
        assert not codes[dim:].any()
        assert offset == query_offset(codes, inner)
        np.testing.assert_array_equal(vector, before)


@pytest.mark.parametrize(("dim", "kept"), [(7, 1), (65, 7), (200, 60), (784, 124)])
def test_a_rotated_query_is_encoded_nearly_as_rows_are(dim, kept):
    """With a rotation, codes of query and row differ by rounding: hardly ever, and by little."""
    rng = np.random.default_rng(dim)
    rows = (rng.standard_normal((50, dim)) + 5).astype(np.float32)
    basis = np.linalg.qr(rng.standard_normal((dim, kept)))[0].T.astype(np.float32).copy()
    mean = rows.mean(axis=0)
    scale = 127 / float(np.abs((rows - mean) @ basis.T).max())
    quantizer = ScalarQuantizer(mean, basis, scale, exact=False, inner=False)
    for vector in rows[:5]:
        codes, _ = encoded(quantizer, vector)
        away = codes[:kept] - (quantizer.encode(vector[None])[0, :kept].astype(int) - 128)
        assert np.abs(away).max() <= 2
        assert np.abs(away).mean() < 0.5
        assert not codes[kept:].any()
