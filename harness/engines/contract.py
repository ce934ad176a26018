"""What a plug-in must be: the classes and types that every algorithm shares with the harness."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import PluginError
from harness.data.attributes import Attributes
from harness.data.metric import Metric
from harness.data.predicates import Predicate
from harness.data.truth import ExactNeighbors
from harness.data.vectors import Data, Neighbors, PackedBits, Sets, Vectors
from harness.engines.abilities import (
    Closes,
    Concurrent,
    Deletes,
    Evidence,
    Explains,
    FilteredSearch,
    Filters,
    Flushes,
    Grows,
    Ranges,
    RangeSearch,
    Saves,
    Search,
)

__all__ = [
    "Algorithm",
    "Attributes",
    "Closes",
    "Concurrent",
    "Data",
    "Deletes",
    "Evidence",
    "ExactNeighbors",
    "Explains",
    "FilteredSearch",
    "Filters",
    "Flushes",
    "Grows",
    "Neighbors",
    "PackedBits",
    "Predicate",
    "RangeSearch",
    "Ranges",
    "Saves",
    "Search",
    "Sets",
    "Vectors",
    "as_neighbors",
]

_NONE = 2**64 - 1  # "no neighbour" in libraries whose ids are unsigned

_SHAPE = "an algorithm's search must return an (m, k) integer array or m lists of integers"


class Algorithm(ABC):
    """An index: built once by `fit`, then searched through the callables that `searcher` returns."""

    @abstractmethod
    def __init__(self, metric: Metric, **build_params: Any) -> None:
        """Check parameters and keep them; do no work. Raise `ParameterError` for a value that can't be used."""

    effective: Mapping[str, Any] = MappingProxyType({})
    """Parameters whose value in force differs from the one asked for, such as more clusters than vectors."""

    def compile(self, sample: Any) -> None:  # noqa: B027 - optional by contract
        """Warm up a just-in-time compiler on `sample`, at most 256 rows of the data; timed apart from the build."""

    @abstractmethod
    def fit(self, train: Any, *, threads: int = 1) -> None:
        """Build the index over `train`, (n, dim), with at most `threads` threads; timed. `train` must stay as it is."""

    @abstractmethod
    def searcher(self, *, threads: int = 1, **search_params: Any) -> Search:
        """Bind search parameters; untimed. Only the searcher bound last is valid."""

    def index_bytes(self) -> int | None:
        """Return the bytes that a search touches, kept vectors included; None where that isn't known."""
        return None

    def counters(self) -> Mapping[str, int]:
        """Return counts since the last bind, e.g. `distance_computations`; empty where nothing is counted."""
        return {}


def as_neighbors(answer: Any, m: int, k: int, n: int) -> Neighbors:
    """Turn what a searcher returned into (m, k) int64 ids padded with -1; runs after the clock has stopped.

    Raises PluginError where the answer has the wrong shape, is not of integers, holds an id outside -1..n-1, or the
    same id twice in a row.
    """
    ids = _to_matrix(answer, m, k)
    bad = (ids < -1) | (ids >= n)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise PluginError(f"query {row} got id {ids[row, column]}, which is outside 0..{n - 1}")
    ordered = np.sort(ids, axis=1)
    twice = (ordered[:, 1:] == ordered[:, :-1]) & (ordered[:, 1:] >= 0)
    if twice.any():
        row, column = np.argwhere(twice)[0]
        raise PluginError(f"query {row} got id {ordered[row, column]} twice")
    return ids


def _to_matrix(answer: Any, m: int, k: int) -> Neighbors:
    if isinstance(answer, np.ndarray) and answer.dtype != object:
        matrix = answer if answer.ndim == 2 else answer.reshape(1, -1) if m == 1 and answer.ndim == 1 else None
        if matrix is None or matrix.shape[0] != m or matrix.shape[1] > k:
            raise PluginError(f"{_SHAPE}: got shape {answer.shape} for {m} queries and k = {k}")
        if matrix.dtype.kind not in "iu" and matrix.size:
            raise PluginError(f"{_SHAPE}: got dtype {matrix.dtype}")
        # uint64 "no neighbour" marks (2**64 - 1) become -1 by the cast, on purpose.
        matrix = matrix.astype(np.int64)
        if isinstance(matrix, np.ma.MaskedArray):
            matrix = matrix.filled(-1)
        out = np.full((m, k), -1, np.int64)
        out[:, : matrix.shape[1]] = matrix
        return out
    try:
        rows = list(answer)
    except TypeError:
        raise PluginError(f"{_SHAPE}: got {type(answer).__name__}") from None
    if m == 1 and (len(rows) != 1 or not hasattr(rows[0], "__len__")):
        rows = [rows]
    if len(rows) != m:
        raise PluginError(f"{_SHAPE}: got {len(rows)} rows for {m} queries")
    out = np.full((m, k), -1, np.int64)
    for i, row in enumerate(rows):
        ids = _to_row(row, i)
        if ids.size == 0:
            continue
        if ids.ndim != 1 or ids.dtype.kind not in "iu":
            raise PluginError(f"{_SHAPE}: row {i} has shape {ids.shape} and dtype {ids.dtype}")
        if ids.size > k:
            raise PluginError(f"query {i} got {ids.size} ids, more than k = {k}")
        out[i, : ids.size] = ids
    return out


def _to_row(row: Any, i: int) -> NDArray[Any]:
    try:
        ids = np.asarray(row)
    except ValueError:  # lists of unequal lengths within one row
        raise PluginError(f"{_SHAPE}: row {i} is not a flat list of ids") from None
    # A list of Python integers with a mark of 2**64 - 1 among them would be float64 to NumPy.
    if ids.dtype.kind in "fO" and ids.ndim == 1 and all(type(v) is int or isinstance(v, np.integer) for v in row):
        with contextlib.suppress(OverflowError):
            ids = np.array([-1 if int(v) == _NONE else int(v) for v in row], np.int64)
    return ids
