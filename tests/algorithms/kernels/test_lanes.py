"""What `test_tree_kernels.py` leaves open about vectors in registers: which of two lanes is the greater."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.kernels import lanes
from algorithms.kernels.jit import kernel
from algorithms.kernels.lanes import LANES, load, maximum, store

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
