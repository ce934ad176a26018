"""Distances of (query, row) pairs in float64, computed once each."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.data.dataset import Dataset
from harness.data.metric import pair_distances

# Bits of mantissa that a recorded distance keeps. Recall allows for 1e-6 of a distance; 2^-33 is 1e-10, and the twenty
# bits below it are noise that fills a third of a result file.
_DISTANCE_BITS = 32


def rounded(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Round distances to 32 bits of mantissa: equal ones stay equal, no two change their order, inf and nan stay."""
    mantissa, exponent = np.frexp(distances)
    kept = np.ldexp(np.round(np.ldexp(mantissa, _DISTANCE_BITS)), -_DISTANCE_BITS)
    out: NDArray[np.float64] = np.ldexp(kept, exponent)
    return out


class ExactDistances:
    """Distances of (query, id) pairs, computed once in float64: the settings of a build find mostly the same ones."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset
        # Known pairs, as query * n + id, ascending; and their distances.
        self._pairs = np.empty(0, np.int64)
        self._known = np.empty(0, np.float64)

    def of(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the distances of neighbours (q, k), inf where the id is -1; row i is query i."""
        rows, columns = np.nonzero(ids >= 0)
        out = np.full(ids.shape, np.inf)
        out[rows, columns] = self.of_pairs(rows, ids[rows, columns])
        return out

    def of_pairs(self, queries: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Return the distances of (query, id) pairs, (m,) each."""
        n = len(self._dataset.train)
        pairs = queries * n + ids
        new = np.setdiff1d(pairs, self._pairs)
        if new.size:
            away = pair_distances(self._dataset.metric, self._dataset.test, self._dataset.train, new // n, new % n)
            order = np.argsort(merged := np.concatenate([self._pairs, new]), kind="stable")
            self._pairs = merged[order]
            self._known = np.concatenate([self._known, rounded(away * self._dataset.bit_scale)])[order]
        found: NDArray[np.float64] = self._known[np.searchsorted(self._pairs, pairs)]
        return found
