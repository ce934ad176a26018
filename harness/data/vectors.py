"""The forms that vectors have in memory: float32 rows, packed bits, and sets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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


Data = Vectors | PackedBits | Sets
"""What `fit` and a searcher get: float32 rows, packed bits (hamming) or sets (jaccard)."""


def contiguous(rows: Any) -> Any:
    """Return rows as they must be for an engine: contiguous in memory, without a copy where they are."""
    return rows if isinstance(rows, Sets) else np.ascontiguousarray(rows)
