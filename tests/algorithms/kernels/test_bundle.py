"""Arrays passed to a kernel as one table of addresses."""

from __future__ import annotations

import numpy as np
import pytest

from algorithms.kernels.bundle import bundle, matrix, vector
from algorithms.kernels.jit import kernel


@kernel
def _write(table, column):
    """Add the vector to a column of the matrix, and count."""
    rows, values, count = matrix(table, 0, np.float32), vector(table, 1, np.int64), vector(table, 2, np.uint8)
    for i in range(rows.shape[0]):
        rows[i, column] += values[i]
        count[0] += np.uint8(1)


@pytest.mark.parametrize(("n", "dim"), [(1, 1), (5, 7), (3, 65)])
def test_kernels_see_the_arrays_themselves(n, dim):
    """Shapes, types and strides survive, and what a kernel writes is in the array."""
    rows = np.arange(n * dim, dtype=np.float32).reshape(n, dim)
    expected = rows.copy()
    expected[:, dim - 1] += np.arange(n)
    arrays = [rows, np.arange(n), np.zeros(1, np.uint8)]
    _write(bundle(arrays).table, dim - 1)
    np.testing.assert_array_equal(rows, expected)
    assert arrays[2][0] == n


def test_empty_arrays():
    """An array without rows is one in the kernel, too."""
    arrays = [np.empty((0, 4), np.float32), np.empty(0, np.int64), np.empty(0, np.uint8)]
    _write(bundle(arrays).table, 0)
    assert bundle([]).table.shape == (0, 3)


def test_only_contiguous_arrays():
    """What an address and a shape can't tell is refused."""
    with pytest.raises(ValueError, match="C-contiguous"):
        bundle([np.zeros((4, 4))[:, ::2]])
    with pytest.raises(ValueError, match="one or two"):
        bundle([np.zeros((2, 2, 2))])
