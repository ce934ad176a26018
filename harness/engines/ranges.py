"""Answers of a range search, checked for what they can't be."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import PluginError

_SHAPE = "a range search must return (indptr, ids), integer arrays of m + 1 and indptr[-1] entries"


def as_ranges(answer: Any, m: int, n: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Turn what a range search of `m` queries returned into `indptr` (m + 1,) and `ids` (total,), both int64.

    Runs after the clock has stopped. Raises PluginError where they don't fit together, or a query has an id outside
    0..n-1 or the same one twice.
    """
    try:
        indptr, ids = (np.asarray(part) for part in answer)
    except (TypeError, ValueError):
        raise PluginError(f"{_SHAPE}: got {type(answer).__name__}") from None
    if indptr.ndim != 1 or ids.ndim != 1 or indptr.dtype.kind not in "iu" or (ids.size and ids.dtype.kind not in "iu"):
        raise PluginError(f"{_SHAPE}: got {indptr.dtype} {indptr.shape} and {ids.dtype} {ids.shape}")
    if len(indptr) != m + 1 or indptr[0] != 0 or indptr[-1] != len(ids) or (np.diff(indptr.astype(np.int64)) < 0).any():
        raise PluginError(f"{_SHAPE}: got {len(indptr)} and {len(ids)} for {m} queries, or entries that don't ascend")
    indptr, ids = indptr.astype(np.int64), ids.astype(np.int64)
    owner = np.repeat(np.arange(m), np.diff(indptr))
    outside = (ids < 0) | (ids >= n)
    if outside.any():
        place = int(np.argmax(outside))
        raise PluginError(f"query {owner[place]} got id {ids[place]}, which is outside 0..{n - 1}")
    keys = np.sort(owner * n + ids)
    twice = np.flatnonzero(keys[1:] == keys[:-1])
    if len(twice):
        raise PluginError(f"query {keys[twice[0]] // n} got id {keys[twice[0]] % n} twice")
    return indptr, ids
