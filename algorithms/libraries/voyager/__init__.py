"""Voyager: Spotify's HNSW, grown from hnswlib."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import voyager

from harness.core.errors import ParameterError
from harness.data.metric import Metric
from harness.engines.contract import Algorithm, Grows, Saves, Search, Vectors

# Cosine normalises rows and queries inside the library.
_SPACES = {
    Metric.EUCLIDEAN: voyager.Space.Euclidean,
    Metric.ANGULAR: voyager.Space.Cosine,
    Metric.IP: voyager.Space.InnerProduct,
}
# Rows copied at a time: the library refuses read-only arrays, though it doesn't write to them.
_BLOCK = 16_384


class Voyager(Algorithm, Saves, Grows):
    """HNSW with `M` links a node (twice as many on the ground layer)."""

    def __init__(self, metric: Metric, *, M: int = 16, ef_construction: int = 200, seed: int = 1) -> None:
        self.metric = Metric(metric)
        if self.metric not in _SPACES:
            raise ParameterError(f"voyager: metric {metric} is not supported; use one of {', '.join(_SPACES)}")
        if M < 2:
            raise ParameterError(f"voyager: M = {M} leaves nodes without links; use at least 2, usually 8 to 64")
        if ef_construction < 1:
            raise ParameterError(f"voyager: ef_construction = {ef_construction}; use at least 1, usually 100 to 500")
        self.M, self.ef_construction, self.seed = M, ef_construction, seed

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Insert the rows one by one."""
        self._index = voyager.Index(
            _SPACES[self.metric],
            train.shape[1],
            M=self.M,
            ef_construction=self.ef_construction,
            random_seed=self.seed,
            max_elements=len(train),
        )
        self.add(train, threads=threads)

    def add(self, vectors: Vectors, *, threads: int = 1) -> None:
        """Insert more rows; the library numbers them on."""
        for start in range(0, len(vectors), _BLOCK):
            self._index.add_items(vectors[start : start + _BLOCK].copy(), num_threads=threads)

    def searcher(self, *, threads: int = 1, ef: int = 50) -> Search:  # type: ignore[override]
        """Bind `ef`, the length of the candidate list, raised to k where k is greater."""
        query, n = self._index.query, len(self._index)

        def search(queries: Vectors, k: int) -> Any:
            k = min(k, n)
            # The copy makes the queries writable, as the library asks; a query is small.
            try:
                return query(queries.copy(), k, threads, max(ef, k))[0]
            except voyager.RecallError:  # fewer than k nodes can be reached
                return [_reachable(query, row, k, max(ef, k)) for row in queries]

        return search

    def index_bytes(self) -> int:
        """Return the size of the graph with its vectors, as the library serialises it."""
        sink = _ByteCount()
        self._index.save(sink)
        return sink.total

    def save(self, path: Path) -> None:
        """Write the library's own file."""
        self._index.save(os.fspath(path))

    def load(self, path: Path) -> None:
        """Read the library's own file."""
        self._index = voyager.Index.load(os.fspath(path))


class _ByteCount(io.RawIOBase):
    """A file that counts what is written to it, so that an index is sized without a second copy in memory."""

    total = 0

    def write(self, chunk: Any) -> int:
        """Count a chunk."""
        self.total += len(chunk)
        return len(chunk)

    def tell(self) -> int:
        """Return the count, as the library asks of a file."""
        return self.total


def _reachable(query: Any, row: Vectors, k: int, ef: int) -> Any:
    """Find as many neighbours of one query as the graph reaches: the library answers with exactly k or not at all."""
    low, high, best = 0, k, np.empty(0, np.int64)  # low neighbours can be had, high can't
    while high - low > 1:
        middle = (low + high) // 2
        try:
            best = query(row.copy(), middle, 1, ef)[0]
        except voyager.RecallError:
            high = middle
        else:
            low = middle
    return best
