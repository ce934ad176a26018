"""Arrays that begin at a cache line, so that what is as long as a line, or a vector register, lies in one."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

CACHE_LINE = 64
"""Bytes."""


def aligned_zeros(n: int, width: int, dtype: DTypeLike) -> NDArray[Any]:
    """Allocate (n, width) zeros from the start of a cache line, with one line behind them that kernels may read."""
    size = n * width * np.dtype(dtype).itemsize
    memory = np.zeros(size + 2 * CACHE_LINE, np.uint8)
    start = -memory.ctypes.data % CACHE_LINE
    return memory[start : start + size].view(dtype).reshape(n, width)
