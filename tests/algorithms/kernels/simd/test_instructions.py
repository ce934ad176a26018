"""The instructions that numba has no name for, each against its Python twin and a line of NumPy."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from algorithms.kernels.codes.scalar_quantizer import allocate_codes, query_width
from algorithms.kernels.jit import kernel
from algorithms.kernels.simd import instructions as simd
from algorithms.kernels.simd.instructions import dot_bytes, float_bits, load_int32, shift

WIDTHS = range(4, 804, 4)


@kernel
def dot_bytes_in_kernel(rows, i, query):
    """Call what this processor has: an intrinsic can be called from compiled code only."""
    return dot_bytes(rows, i, query)


@kernel
def float_bits_in_kernel(value):
    """Call the intrinsic from compiled code."""
    return float_bits(value)


@kernel
def load_int32_in_kernel(rows, i, offset):
    """Call the intrinsic from compiled code."""
    return load_int32(rows, i, offset)


@kernel
def shift_in_kernel(array, start, stop):
    """Call the intrinsic from compiled code."""
    shift(array, start, stop)


def padded(factors):
    """Return a query's codes with the zeros behind them that fill a cache line."""
    query = np.zeros(query_width(len(factors)), np.int8)
    query[: len(factors)] = factors
    return query


def all_dots(rows, i, query):
    """Compute one sum by the instruction or loop in use, by the portable loop and by the twin."""
    return [int(dot(rows, i, query)) for dot in (dot_bytes_in_kernel, simd._dot_bytes_portable, simd._dot_bytes_twin)]


def test_dot_bytes_of_random_bytes_at_every_width():
    """Instruction, portable loop and twin give NumPy's sum at all widths up to 800, whatever the next row holds."""
    rng = np.random.default_rng(0)
    for width in WIDTHS:
        rows = allocate_codes(3, width)
        rows[:] = rng.integers(0, 256, rows.shape)
        query = padded(rng.integers(-128, 128, width))
        i = width // 4 % 3
        expected = int((rows[i].astype(int) * query[:width]).sum())
        assert all_dots(rows, i, query) == [expected] * 3, width


@pytest.mark.parametrize("width", [4, 60, 64, 68, 788])
@pytest.mark.parametrize("byte", [0, 1, 255])
@pytest.mark.parametrize("factor", [-128, -1, 127])
def test_dot_bytes_of_extremes(width, byte, factor):
    """The greatest and least products are summed as they are: nothing saturates, no sign is lost."""
    rows = allocate_codes(2, width)
    rows[0], rows[1] = 255 - byte, byte
    assert all_dots(rows, 1, padded(np.full(width, factor))) == [width * byte * factor] * 3


def test_dot_bytes_of_the_most_dimensions():
    """At the 30,000 dimensions that a quantiser takes, sums still fit into 32 bits."""
    rows = allocate_codes(1, 30_004)
    rows[:] = 255
    query = padded(np.full(30_004, -128))
    assert dot_bytes_in_kernel(rows, 0, query) == -30_004 * 255 * 128 == simd._dot_bytes_twin(rows, 0, query)


@given(st.floats(width=32))
@example(0.0)
@example(-0.0)
@example(float("inf"))
@example(float("-inf"))
@example(-1.0)
@settings(deadline=None)
def test_float_bits(value):
    """The bits of every float32 come as NumPy's view has them, denormal and infinite ones included."""
    if np.isnan(value):  # a NaN's payload may change on its way into compiled code
        return
    expected = int(np.array(value, np.float32).view(np.int32))
    assert float_bits_in_kernel(np.float32(value)) == expected == simd._float_bits_twin(value)


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 2), st.integers(0, 9))
@settings(deadline=None)
def test_load_int32(number, i, offset):
    """Four bytes anywhere in a row are read as one number, its sign and its place within the row respected."""
    rows = np.full((3, 13), 0xAB, np.uint8)
    rows[i, offset : offset + 4] = np.array([number], np.int32).view(np.uint8)
    assert load_int32_in_kernel(rows, i, offset) == number == simd._load_int32_twin(rows, i, offset)


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float32, np.uint8])
@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 1), (3, 3), (0, 4999), (4998, 4999), (17, 80)])
def test_shift_moves_what_overlaps(dtype, start, stop):
    """Moving by one place copies no value over one that is yet to be moved, and touches nothing outside."""
    before = np.arange(5000).astype(dtype)
    expected = before.copy()
    expected[start + 1 : stop + 1] = before[start:stop]
    moved, by_twin = before.copy(), before.copy()
    shift_in_kernel(moved, start, stop)
    simd._shift_twin(by_twin, start, stop)
    np.testing.assert_array_equal(moved, expected)
    np.testing.assert_array_equal(by_twin, expected)
