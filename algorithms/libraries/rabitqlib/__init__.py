"""SymphonyQG: a graph whose edges hold RaBitQ codes, so that a node's neighbours are scored together (Gou 2025)."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import rabitqlib

from harness.core.errors import ParameterError
from harness.data.metric import Metric, normalise
from harness.engines.contract import Algorithm, Saves, Search, Vectors

# Under angular the index is over unit vectors, where l2 ranks as the angle does.
_METRICS = {Metric.EUCLIDEAN: "l2", Metric.ANGULAR: "l2", Metric.IP: "ip"}
# The library's rotation needs 64 dimensions; zeros appended change neither distances nor inner products.
_FEWEST_DIMENSIONS = 64
# Each node has `max_degree` edges to others, in blocks of 32.
_BLOCK = 32


class SymphonyQG(Algorithm, Saves):
    """A graph of `max_degree` edges a node (a multiple of 32)."""

    def __init__(self, metric: Metric, *, max_degree: int = 32, ef_construction: int = 400) -> None:
        self.metric = Metric(metric)
        if self.metric not in _METRICS:
            raise ParameterError(f"symphonyqg: metric {metric} is not supported; use one of {', '.join(_METRICS)}")
        if max_degree < _BLOCK or max_degree % _BLOCK:
            raise ParameterError(f"symphonyqg: max_degree = {max_degree}; use a multiple of {_BLOCK}, usually 32 or 64")
        if ef_construction < 1:
            raise ParameterError(f"symphonyqg: ef_construction = {ef_construction}; use at least 1, usually 200 to 400")
        self.max_degree, self.ef_construction = max_degree, ef_construction

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Build the graph. Sets too small for a graph are kept whole, and every search returns them in order."""
        n, dim = train.shape
        rows = normalise(train) if self.metric is Metric.ANGULAR else train
        rows = np.pad(rows, ((0, 0), (0, max(0, _FEWEST_DIMENSIONS - dim))))
        self._few: Vectors | None = rows if n <= _BLOCK else None
        if self._few is not None:
            self.effective = {"index": "exact scan"}
            return
        # Every node needs that many others: the greatest multiple of 32 below n.
        degree = min(self.max_degree, (n - 1) // _BLOCK * _BLOCK)
        self.effective = {} if degree == self.max_degree else {"max_degree": degree}
        self._index = rabitqlib.SymqgIndex(rows.shape[1], degree, _METRICS[self.metric])
        self._index.build(rows, self.ef_construction, threads)

    def searcher(self, *, threads: int = 1, ef: int = 50) -> Search:  # type: ignore[override]
        """Bind `ef`, the length of the candidate list, raised to k where k is greater."""
        if self._few is not None:
            few = self._few
            return lambda queries, k: _scan(few, self._prepare(queries), _METRICS[self.metric], k)
        find, n = self._index.search if threads == 1 else self._index.search_batch, self._index.num_points
        plain = self.metric is not Metric.ANGULAR and self._index.dim > _FEWEST_DIMENSIONS
        prepare = self._prepare

        def search(queries: Vectors, k: int) -> Any:
            k = min(k, n)
            return find(queries if plain else prepare(queries), k, max(ef, k), threads)[0]

        return search

    def _prepare(self, queries: Vectors) -> Vectors:
        """Scale queries to unit length under angular, as codes are made for residuals of unit vectors; pad to 64."""
        if self.metric is Metric.ANGULAR:
            norms = np.sqrt(np.einsum("ij,ij->i", queries, queries))
            norms[norms == 0] = 1
            queries = queries / norms[:, None]
        missing = _FEWEST_DIMENSIONS - queries.shape[1]
        return queries if missing <= 0 else np.pad(queries, ((0, 0), (0, missing)))

    def index_bytes(self) -> int:
        """Return the size by formula, as the library keeps no account: vectors, and a code with its factors an edge."""
        if self._few is not None:
            return self._few.nbytes
        dim = self._index.dim
        code = math.ceil(dim / 64) * 8 + 12
        return int(self._index.num_points * (4 * dim + self._index.max_degree * code))

    def save(self, path: Path) -> None:
        """Write the library's own file, or the rows where they are too few for a graph."""
        if self._few is not None:
            with path.open("wb") as file:
                np.save(file, self._few)
            return
        self._index.save(os.fspath(path))

    def load(self, path: Path) -> None:
        """Read what `save` wrote."""
        with path.open("rb") as file:
            magic = file.read(6)
        self._few = np.load(path) if magic == b"\x93NUMPY" else None
        if self._few is None:
            self._index = rabitqlib.SymqgIndex.load(os.fspath(path))


def _scan(rows: Vectors, queries: Vectors, metric: str, k: int) -> Any:
    scores = -(queries @ rows.T) if metric == "ip" else ((queries[:, None] - rows) ** 2).sum(axis=2)
    return np.argsort(scores, axis=1, kind="stable")[:, :k]
