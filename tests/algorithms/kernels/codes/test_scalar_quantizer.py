"""Vectors as bytes: what they lose, how they lie in memory, and when a rotation to fewer dimensions serves."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.kernels.codes.scalar_quantizer import (
    CACHE_LINE,
    ScalarQuantizer,
    allocate_codes,
    code_stride,
    neighbours_kept,
    query_width,
    sample_rows,
    train_quantizer,
)
from harness.core.errors import ParameterError


def normal(n, dim, seed=0):
    """Draw normal rows."""
    return np.random.default_rng(seed).standard_normal((n, dim)).astype(np.float32)


def flat(n, dim, intrinsic, noise=0.0, seed=0):
    """Draw rows of `dim` dimensions that lie near a subspace of `intrinsic` ones, away from the origin."""
    directions = np.linalg.qr(normal(dim, intrinsic, seed=99))[0].T
    return (normal(n, intrinsic, seed) @ directions + noise * normal(n, dim, seed + 1) + 3).astype(np.float32)


def plain(dim, scale, mean=0.0, *, inner=False):
    """Return a quantiser without a rotation."""
    return ScalarQuantizer(
        np.full(dim, mean, np.float32), np.empty((0, dim), np.float32), scale, exact=False, inner=inner
    )


def read(codes, dim):
    """Return the integers (n, dim) and the norms (n,) that rows of codes hold."""
    return codes[:, :dim].astype(np.int64) - 128, codes[:, -4:].copy().view(np.int32)[:, 0].astype(np.int64)


@pytest.mark.parametrize("dim", [1, 7, 63, 64, 65, 784])
@pytest.mark.parametrize("low", [-100_000, -128, 0, 17])
def test_whole_numbers_lose_nothing(dim, low):
    """Whole numbers within a span of 255, both ends taken, come back exactly from their codes."""
    rows = np.random.default_rng(dim).integers(low, low + 256, (20, dim)).astype(np.float32)
    rows[0, 0], rows[1, 0] = low, low + 255
    quantizer = train_quantizer(rows, None, inner=False)
    assert quantizer.exact
    whole, norms = read(quantizer.encode(rows), dim)
    np.testing.assert_array_equal(whole + quantizer.mean, rows)
    np.testing.assert_array_equal(norms, (whole**2).sum(axis=1))


@pytest.mark.parametrize(
    ("values", "inner", "exact"),
    [
        ([0, 255], False, True),
        ([0, 256], False, False),
        ([0, 0.5], False, False),
        ([-128, 127], True, True),
        ([-129, 0], True, False),
        ([0, 128], True, False),
        ([2.0**24, 2.0**24 + 2], False, False),
    ],
)
def test_exact_is_what_codes_hold_exactly(values, inner, exact):
    """Rows are called exact within their limits only: under inner products the mean can't be taken away."""
    quantizer = train_quantizer(np.array([values, values[::-1]], np.float32), None, inner=inner)
    assert quantizer.exact is exact
    assert not inner or not quantizer.mean.any()


@given(st.integers(1, 70), st.integers(0, 99), st.floats(0.01, 1000))
@settings(deadline=None, max_examples=60)
def test_error_within_range_is_half_a_step(dim, seed, scale):
    """What doesn't leave the range is off by half a step at most, and the norm is that of the codes."""
    step = 1 / scale
    values = np.random.default_rng(seed).uniform(-127 * step, 127 * step, (5, dim)).astype(np.float32)
    whole, norms = read(plain(dim, scale).encode(values), dim)
    assert np.abs(whole * step - values).max() <= 0.5 * step * (1 + 1e-4)
    np.testing.assert_array_equal(norms, (whole**2).sum(axis=1))


def test_values_out_of_range_are_cut_off():
    """Beyond the range lie the codes -128 and 127, however far."""
    values = np.array([[-1e30, -12.9, -12.8, 12.7, 12.8, 1e30]], np.float32)
    whole, _ = read(plain(6, 10.0).encode(values), 6)
    assert whole.tolist() == [[-128, -128, -128, 127, 127, 127]]


@pytest.mark.parametrize("n_components", [None, 5])
def test_the_step_suits_the_data(n_components):
    """Trained on data, codes use their range, and the error is small beside the data's spread."""
    rows = 40 * normal(2000, 12) + 7
    quantizer = train_quantizer(rows, n_components, inner=False)
    whole, _ = read(quantizer.encode(rows), quantizer.dim)
    assert 90 <= np.abs(whole).max() <= 128
    kept = (rows - quantizer.mean) @ quantizer.basis.T if n_components else rows - quantizer.mean
    assert np.sqrt(np.mean((whole / quantizer.scale - kept) ** 2)) < 0.02 * kept.std()


@pytest.mark.parametrize("dim", [1, 7, 56, 60, 61, 63, 64, 65, 784])
def test_strides(dim):
    """A row holds its codes and four bytes of norm in whole lines, or packed in whole words, and nothing to spare."""
    for packed, unit in ((False, CACHE_LINE), (True, 4)):
        stride = code_stride(dim, packed=packed)
        assert stride % unit == 0
        assert dim + 4 <= stride < dim + 4 + unit
        assert stride <= query_width(stride) < stride + CACHE_LINE
        assert query_width(stride) % CACHE_LINE == 0
        codes = plain(dim, 1.0).encode(normal(3, dim), packed=packed)
        assert codes.shape == (3, stride)
        assert (codes[:, dim:-4] == 128).all()


@pytest.mark.parametrize("n", [1, 5])
@pytest.mark.parametrize("stride", [4, 64, 68, 832])
def test_rows_begin_at_a_cache_line(n, stride):
    """The first row begins at a cache line, so do all of whole lines, and behind the last there is one to read."""
    for _ in range(4):  # an allocator may give an aligned address by chance
        codes = allocate_codes(n, stride)
        assert codes.shape == (n, stride)
        assert codes.ctypes.data % CACHE_LINE == 0
        memory = codes
        while memory.base is not None:
            memory = memory.base
        behind = memory.ctypes.data + memory.nbytes - (codes.ctypes.data + n * stride)
        assert behind >= CACHE_LINE - 1


@pytest.mark.parametrize("packed", [False, True])
def test_encoding_in_place_is_encoding(packed):
    """Encoding into a part of an array gives what encoding gives, in blocks as well, and leaves the rest alone."""
    rows, quantizer = normal(300, 9), plain(9, 30.0, 0.25)
    codes = allocate_codes(302, code_stride(9, packed=packed))
    quantizer.encode_into(codes[1:301], rows)
    np.testing.assert_array_equal(codes[1:301], quantizer.encode(rows, packed=packed))
    assert not codes[[0, 301]].any()


def test_no_rows():
    """Of no rows a quantiser can be made, and no rows encoded."""
    for n_components in (None, 3, "auto"):
        quantizer = train_quantizer(np.empty((0, 5), np.float32), n_components, inner=False)
        assert quantizer.encode(np.empty((0, 5), np.float32)).shape == (0, CACHE_LINE)


def test_inner_products_have_no_norm_and_no_mean():
    """Under inner products rows lie where they were, and the place of the norm holds 0."""
    rows = normal(50, 9) + 5
    for n_components in (None, 4):
        quantizer = train_quantizer(rows, n_components, inner=True)
        _, norms = read(quantizer.encode(rows), quantizer.dim)
        assert not quantizer.mean.any()
        assert not norms.any()


@pytest.mark.parametrize(("dim", "kept"), [(7, 1), (65, 20), (200, 60)])
def test_a_rotation_approximates_distances(dim, kept):
    """Distances to the rows' full length hold: what a rotation leaves out of a row counts in its norm."""
    rows = flat(400, dim, intrinsic=kept, noise=0.05)
    quantizer = train_quantizer(rows, kept, inner=False)
    np.testing.assert_allclose(quantizer.basis @ quantizer.basis.T, np.eye(kept), atol=1e-4)
    whole, norms = read(quantizer.encode(rows), kept)
    away = (rows - quantizer.mean).astype(np.float64)
    true = (away**2).sum(axis=1)
    # The norm of the codes alone falls short by what is left out; the one that is kept doesn't.
    left_out = true - ((away @ quantizer.basis.T) ** 2).sum(axis=1)
    assert left_out.mean() > 0.7 * (dim - kept) * 0.05**2
    np.testing.assert_allclose(
        (norms - (whole**2).sum(axis=1)) / quantizer.scale**2, left_out, rtol=1e-3, atol=2 / quantizer.scale**2
    )
    query = whole[0]
    estimates = (norms[1:] - 2 * whole[1:] @ query + (query**2).sum()) / quantizer.scale**2
    expected = ((away[1:] - away[0]) ** 2).sum(axis=1) - left_out[0]
    assert np.abs(estimates - expected).max() < 0.08 * expected.mean() + 0.2


def test_auto_takes_as_few_lines_as_the_data_need():
    """Data near a subspace of few dimensions take one line of components, those of 100 dimensions two."""
    for intrinsic, lines in ((20, 1), (100, 2)):
        quantizer = train_quantizer(flat(1500, 150, intrinsic, noise=0.01), "auto", inner=False)
        assert len(quantizer.basis) == lines * CACHE_LINE - 4
        assert code_stride(quantizer.dim) == lines * CACHE_LINE


@pytest.mark.parametrize(("dim", "inner"), [(100, False), (100, True), (60, False), (1, False)])
def test_auto_leaves_rows_as_they_are_where_nothing_is_saved(dim, inner):
    """Isotropic data, and all that fit into one line anyway, aren't rotated."""
    assert len(train_quantizer(normal(2000, dim), "auto", inner=inner).basis) == 0


def test_a_number_of_components():
    """As many components as asked for are kept, all dimensions where more are asked for than there are."""
    rows = normal(100, 9)
    assert train_quantizer(rows, 4, inner=False).basis.shape == (4, 9)
    assert len(train_quantizer(rows, 9, inner=False).basis) == len(train_quantizer(rows, 50, inner=False).basis) == 0


def test_too_many_dimensions():
    """Where distances could leave int32, the error says what to use."""
    with pytest.raises(ParameterError, match=r"not 30001; use storage float32"):
        train_quantizer(np.zeros((2, 30_001), np.float32), None, inner=False)


def test_all_neighbours_are_kept_where_nothing_is_lost():
    """Codes of whole numbers keep every neighbour, however small the sample."""
    for n in (2, 3, 12, 500):
        rows = np.random.default_rng(n).integers(0, 200, (n, 10)).astype(np.float32)
        assert neighbours_kept(train_quantizer(rows, None, inner=False), rows) == 1.0


@pytest.mark.parametrize("inner", [False, True])
def test_no_more_neighbours_are_kept_than_chance_finds(inner):
    """Codes that are all alike keep one in forty: 20 of the 800 rows that 200 queries leave."""
    assert neighbours_kept(plain(10, 1e-6, inner=inner), normal(1000, 10)) == pytest.approx(20 / 800, abs=0.02)


def test_ties_are_no_losses():
    """Among copies of few rows any of the copies will do: none is missed although codes can't tell which."""
    rows = np.repeat(normal(5, 8), 60, axis=0)[np.random.default_rng(0).permutation(300)]
    assert neighbours_kept(plain(8, 30.0), rows) == 1.0
    assert neighbours_kept(plain(8, 1e-6), np.ones((100, 8), np.float32)) == 1.0


def test_fewer_components_keep_fewer_neighbours():
    """The measure tells a quantiser that looks at one component from one that looks at all."""
    rows = normal(1000, 20)
    shares = [neighbours_kept(train_quantizer(rows, kept, inner=False), rows) for kept in (1, 10, 20)]
    assert shares[0] < 0.3 < shares[1] < 0.95 < shares[2]


def test_samples_are_the_same_every_time():
    """A sample holds rows of the data, each once, 10,000 at most, and is drawn alike each time."""
    rows = np.arange(12_000, dtype=np.float32)[:, None]
    sample = sample_rows(rows)
    assert len(np.unique(sample)) == len(sample) == 10_000
    np.testing.assert_array_equal(sample, sample_rows(rows))
    assert sorted(sample_rows(rows[:7])[:, 0]) == [0, 1, 2, 3, 4, 5, 6]
