"""What `trees/test_kernels.py` leaves open about vectors in registers: NaNs, bytes, the greatest of all lanes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.kernels.jit import kernel
from algorithms.kernels.simd import lanes
from algorithms.kernels.simd.lanes import LANES, largest, least_lane, load, maximum, store, store_bytes

VALUES = st.lists(st.floats(width=32), min_size=LANES, max_size=LANES)


@kernel
def maximum_in_kernel(left, right, out):
    """Store the greater of each pair: lanes exist in compiled code only."""
    store(out, 0, maximum(load(left, 0), load(right, 0)))


@given(VALUES, VALUES)
@settings(deadline=None)
def test_a_nan_loses(left, right):
    """Of each pair the greater is taken, infinities included, and of a NaN and a number the number."""
    left, right, out = np.array(left, np.float32), np.array(right, np.float32), np.empty(LANES, np.float32)
    maximum_in_kernel(left, right, out)
    np.testing.assert_array_equal(out, np.fmax(left, right))
    np.testing.assert_array_equal(lanes._maximum_twin(left, right), out)


@pytest.mark.parametrize("lane", [0, 15, 16, LANES - 1])
def test_a_nan_loses_in_every_register(lane):
    """A single NaN, on either side, leaves the number in its lane and nothing else changed."""
    numbers = np.arange(LANES, dtype=np.float32)
    with_nan, out = numbers - 1, np.empty(LANES, np.float32)
    with_nan[lane] = np.nan
    for pair in ((numbers, with_nan), (with_nan, numbers)):
        maximum_in_kernel(*pair, out)
        np.testing.assert_array_equal(out, numbers)


@kernel
def bytes_in_kernel(values, start, out):
    """Round LANES floats into bytes from `start` on, and return the greatest of the floats."""
    store_bytes(out, start, load(values, 0))
    return largest(load(values, 0))


@given(st.lists(st.floats(-1e9, 1e9, width=32), min_size=LANES, max_size=LANES), st.integers(0, 9))
@settings(deadline=None)
def test_floats_are_rounded_into_bytes(values, start):
    """Halves go to the even number, what int8 can't hold is cut off, and no other byte is touched."""
    values, out = np.array(values, np.float32), np.full(LANES + 9, 77, np.int8)
    assert bytes_in_kernel(values, start, out) == values.max() == lanes._largest_twin(values)
    expected = np.full(LANES + 9, 77, np.int8)
    expected[start : start + LANES] = np.clip(np.rint(values), -128, 127)
    np.testing.assert_array_equal(out, expected)
    lanes._store_bytes_twin(out, start, values)
    np.testing.assert_array_equal(out, expected)


@kernel
def least_in_kernel(values, mask):
    """Return the lane of the least of some floats."""
    return least_lane(load(values, 0), mask)


# Of -0.0 and 0.0 either may be called the less.
ORDERED = st.lists(st.floats(allow_nan=False, width=32).map(lambda v: v + 0.0), min_size=LANES, max_size=LANES)


@given(ORDERED, st.integers(1, 2**LANES - 1))
@settings(deadline=None)
def test_the_least_of_some_lanes(values, mask):
    """Of the lanes that a mask names, the first of the least is found, negative and infinite ones included."""
    values = np.array(values, np.float32)
    named = [lane for lane in range(LANES) if mask >> lane & 1]
    expected = min(named, key=lambda lane: values[lane])
    assert least_in_kernel(values, mask) == expected == lanes._least_lane_twin(values, mask)
