"""What a plug-in must be: the classes and types that every algorithm shares with the harness."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.errors import PluginError
from harness.metric import Metric

Vectors = NDArray[np.float32]
"""(n, dim) float32, C-contiguous, read-only."""

PackedBits = NDArray[np.uint8]
"""(n, ceil(dim / 8)) uint8 for hamming: `numpy.packbits` along the rows."""

Neighbors = NDArray[np.int64]
"""(m, k) int64 ids, padded with -1 where fewer than k were found."""


@dataclass(frozen=True, eq=False)
class Sets:
    """Sets of integers for jaccard, one after the other: `indices[indptr[i]:indptr[i + 1]]` is set i, ascending.

    `indptr` (n + 1,) int64, `indices` (total,) int32.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]

    def __len__(self) -> int:
        """Count the sets."""
        return len(self.indptr) - 1

    def row(self, i: int) -> NDArray[np.int32]:
        """Return set `i` as ascending int32; a negative `i` counts from the end. Raises IndexError outside."""
        place = i + len(self) if i < 0 else i
        if not 0 <= place < len(self):
            raise IndexError(f"set {i} is outside 0..{len(self) - 1}")
        return self.indices[self.indptr[place] : self.indptr[place + 1]]

    def __iter__(self) -> Iterator[NDArray[np.int32]]:
        """Iterate over the sets, each as ascending int32."""
        return (self.row(i) for i in range(len(self)))

    def __getitem__(self, rows: slice | NDArray[np.integer[Any]] | NDArray[np.bool_]) -> Sets:
        """Return the chosen sets as `Sets` of their own; a slice with step 1 copies no members."""
        if isinstance(rows, slice):
            start, stop, step = rows.indices(len(self))
            if step == 1:
                stop = max(start, stop)
                low, high = self.indptr[start], self.indptr[stop]
                return Sets(self.indptr[start : stop + 1] - low, self.indices[low:high])
            rows = np.arange(start, stop, step)
        elif rows.dtype == np.bool_:
            if rows.shape != (len(self),):
                raise IndexError(f"a mask of shape {rows.shape} can't choose among {len(self)} sets")
            rows = np.flatnonzero(rows)
        return Sets.of([self.row(int(i)) for i in rows])

    @classmethod
    def of(cls, sets: Sequence[NDArray[Any]] | Sequence[Sequence[int]]) -> Sets:
        """Build from any sequences of integers: sorted and freed of repeats.

        Raises ValueError where a member is no integer, or none that int32 holds.
        """
        rows = [_members(s) for s in sets]
        indptr = np.zeros(len(rows) + 1, np.int64)
        np.cumsum([len(r) for r in rows], out=indptr[1:])
        return cls(indptr, np.concatenate(rows) if rows else np.empty(0, np.int32))


def _members(given: Any) -> NDArray[np.int32]:
    row = np.asarray(given)
    if row.size == 0:
        return np.empty(0, np.int32)
    limits = np.iinfo(np.int32)
    if row.ndim != 1 or row.dtype.kind not in "iu" or row.min() < limits.min or row.max() > limits.max:
        raise ValueError(f"a set must hold integers within int32, not {row!r:.80}")
    return np.unique(row).astype(np.int32)


_NONE = 2**64 - 1  # "no neighbour" in libraries whose ids are unsigned

_SHAPE = "an algorithm's search must return an (m, k) integer array or m lists of integers"

Data = Vectors | PackedBits | Sets
"""What `fit` and a searcher get: float32 rows, packed bits (hamming) or sets (jaccard)."""

Search = Callable[[Any, int], Any]
"""(queries (m, dim), k) -> ids: an (m, k) integer array, or lists of ints, as the library gives them."""


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


class ExactNeighbors(ABC):
    """The ability to give exact neighbours together with their distances: what ground truth is made with."""

    @abstractmethod
    def nearest(self, queries: Any, k: int, *, threads: int = 1) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Find the k nearest rows of each query, (m, dim), under the metric that the index was made for.

        Returns ids (m, k) int64 and distances (m, k) float64, ascending, accurate to 1e-5 relative; -1 and inf where
        there are fewer than k rows. Hamming counts a share of the stored bits, padding included.
        """


class Saves(ABC):
    """The ability to write an index to disk and read it back."""

    @abstractmethod
    def save(self, path: Path) -> None:
        """Write the index to `path`, a file or folder that doesn't exist yet."""

    @abstractmethod
    def load(self, path: Path) -> None:
        """Read what `save` wrote, in place of `fit`."""


class Grows(ABC):
    """The ability to add vectors after `fit`."""

    @abstractmethod
    def add(self, vectors: Any, *, threads: int = 1) -> None:
        """Add (m, dim) vectors; their ids go on from the highest so far."""


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
