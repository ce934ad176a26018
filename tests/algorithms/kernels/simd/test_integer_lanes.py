"""Vectors of integers in registers, each operation against its Python twin, and the portable forms beside them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import config

from algorithms.kernels.jit import kernel
from algorithms.kernels.simd import byte_lanes, integer_lanes
from algorithms.kernels.simd.integer_lanes import (
    DOT_BYTES,
    LANES,
    add_dots,
    append,
    at_most,
    load_integers,
    no_integers,
    store_integers,
)

INT32 = st.integers(-(2**31), 2**31 - 1)
VALUES = st.lists(INT32, min_size=LANES, max_size=LANES)
MASKS = st.integers(0, 2**32 - 1)


@kernel
def append_in_kernel(array, count, values, mask):
    """Call the intrinsic from compiled code."""
    append(array, count, load_integers(values, 0), mask)


@kernel
def append_portably(array, count, values, mask):
    """Call the form for processors that can't compress a register."""
    integer_lanes._append_portable(array, count, load_integers(values, 0), mask)


@kernel
def at_most_in_kernel(values, limit):
    """Call the intrinsic from compiled code."""
    return at_most(load_integers(values, 0), limit)


@kernel
def dots_in_kernel(codes, at, query, groups, out):
    """Add up the products of some groups of four bytes."""
    sums = no_integers()
    for group in range(groups):
        sums = add_dots(sums, codes, at + DOT_BYTES * group, query, 4 * group)
    store_integers(out, 0, sums)


@kernel
def words_in_kernel(words, factor, limit, out):
    """Scale words, add them to themselves, store them, and say which are below a limit."""
    value = byte_lanes.load_words(words, 0)
    value = byte_lanes.add_words(value, byte_lanes.scale_words(value, factor))
    byte_lanes.store_words(out, 0, value)
    return byte_lanes.words_below(value, limit)


@given(VALUES, MASKS)
@settings(deadline=None)
def test_append_keeps_what_the_mask_names(values, mask):
    """The chosen lanes go behind those that are there, in order; what lies before stays."""
    values = np.array(values, np.int32)
    chosen = [value for lane, value in enumerate(values) if mask >> lane & 1]
    for form in (append_in_kernel,) if config.DISABLE_JIT else (append_in_kernel, append_portably):
        array = np.full(5 + LANES, 9, np.int32)
        form(array, 5, values, mask)
        np.testing.assert_array_equal(array[5 : 5 + len(chosen)], chosen)
        np.testing.assert_array_equal(array[:5], 9)


@given(VALUES, INT32)
@settings(deadline=None)
def test_at_most_compares_signed(values, limit):
    """Bit j is set where lane j is at most the limit, negative ones and the extremes included."""
    values = np.array(values, np.int32)
    expected = sum(1 << lane for lane, value in enumerate(values.tolist()) if value <= limit)
    assert at_most_in_kernel(values, np.int32(limit)) == expected


@pytest.mark.parametrize("groups", [1, 2, 25])
def test_add_dots_is_a_product_of_matrices(groups):
    """Lane j gets the product of the query with the j-th vector of a block whose dimensions come in fours."""
    rng = np.random.default_rng(groups)
    rows, query = rng.integers(0, 256, (LANES, 4 * groups)), rng.integers(-128, 128, 4 * groups)
    block = rows.reshape(LANES, groups, 4).transpose(1, 0, 2).astype(np.uint8).ravel()
    codes = np.concatenate([np.full(3, 255, np.uint8), block])
    out = np.empty(LANES, np.int32)
    dots_in_kernel(codes, 3, query.astype(np.int8), groups, out)
    np.testing.assert_array_equal(out, rows @ query)


@pytest.mark.parametrize("factor", [0, 1, 30_000, 65_535])
@pytest.mark.parametrize("limit", [0, 1, 40_000, 65_535])
def test_words_are_scaled_added_and_compared_as_unsigned(factor, limit):
    """Products keep their upper half, sums stop at 65535, and words above 32767 are not negative."""
    words = np.concatenate([[0, 1, 32_767, 32_768, 65_535], np.random.default_rng(0).integers(0, 65_536, 27)])
    words, out = words.astype(np.uint16), np.empty(byte_lanes.WORDS, np.uint16)
    mask = words_in_kernel(words, factor, limit, out)
    expected = np.minimum(words.astype(np.int64) + (words.astype(np.int64) * factor >> 16), 65_535)
    np.testing.assert_array_equal(out, expected)
    assert mask == sum(1 << lane for lane in range(byte_lanes.WORDS) if expected[lane] < limit)


@kernel
def look_up_in_kernel(tables, codes, out):
    """Look up both halves of 64 codes and add up what is found, by vector."""
    entries, packed = byte_lanes.load_bytes(tables, 0), byte_lanes.load_bytes(codes, 0)
    low = byte_lanes.look_up(entries, byte_lanes.low_halves(packed))
    high = byte_lanes.look_up(entries, byte_lanes.high_halves(packed))
    none = byte_lanes.no_words()
    sums = byte_lanes.totals(
        byte_lanes.add_pairs(none, low),
        byte_lanes.add_odd(none, low),
        byte_lanes.add_pairs(none, high),
        byte_lanes.add_odd(none, high),
    )
    byte_lanes.store_words(out, 0, sums)


@pytest.mark.skipif(
    byte_lanes.SHUFFLE is None and not config.DISABLE_JIT, reason="no byte shuffle, so that look_up can't be compiled"
)
def test_look_up_finds_each_code_in_the_table_of_its_position():
    """Four positions of 32 vectors: the sums are those of the entries that the codes name."""
    rng = np.random.default_rng(0)
    tables, codes = rng.integers(0, 256, (2, 64)).astype(np.uint8)
    out = np.empty(32, np.uint16)
    look_up_in_kernel(tables, codes, out)
    halves = np.concatenate([codes.reshape(4, 16) & 15, codes.reshape(4, 16) >> 4], axis=1)
    expected = np.take_along_axis(tables.reshape(4, 16), halves.astype(np.int64), axis=1).sum(axis=0, dtype=np.int64)
    np.testing.assert_array_equal(out, expected)
