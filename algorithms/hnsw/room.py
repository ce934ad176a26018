"""Arrays that grow."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def with_room(array: NDArray[Any], n: int, added: NDArray[Any]) -> NDArray[Any]:
    """Put `added` behind the array's first n rows: in place, or in a copy with an eighth to spare."""
    total = n + len(added)
    if total > len(array):
        larger = np.empty((total + total // 8, *array.shape[1:]), array.dtype)
        larger[:n] = array[:n]
        array = larger
    array[n:total] = added
    return array
