"""hnswlib: the reference C++ implementation of HNSW (Malkov & Yashunin 2018)."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import hnswlib
import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ParameterError
from harness.data.metric import Metric
from harness.engines.contract import Algorithm, Grows, Saves, Search, Vectors

# cosine normalises rows and queries inside the library.
_SPACES = {Metric.EUCLIDEAN: "l2", Metric.ANGULAR: "cosine", Metric.IP: "ip"}


class HNSWLib(Algorithm, Saves, Grows):
    """HNSW with `M` links a node (twice as many on the ground layer).

    Built on one thread the graph is the same every time; on several it isn't.
    """

    def __init__(self, metric: Metric, *, M: int = 16, ef_construction: int = 200, seed: int = 100) -> None:
        self.metric = Metric(metric)
        if self.metric not in _SPACES:
            raise ParameterError(f"hnswlib: metric {metric} is not supported; use one of {', '.join(_SPACES)}")
        if M < 2:
            raise ParameterError(f"hnswlib: M = {M} leaves nodes without links; use at least 2, usually 8 to 64")
        if ef_construction < 1:
            raise ParameterError(f"hnswlib: ef_construction = {ef_construction}; use at least 1, usually 100 to 500")
        self.M, self.ef_construction, self.seed = M, ef_construction, seed

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Insert the rows one by one."""
        n, dim = train.shape
        self._index = hnswlib.Index(_SPACES[self.metric], dim)
        self._index.init_index(n, M=self.M, ef_construction=self.ef_construction, random_seed=self.seed)
        self._index.add_items(train, num_threads=threads)

    def add(self, vectors: Vectors, *, threads: int = 1) -> None:
        """Insert more rows, in a graph enlarged for them."""
        self._index.resize_index(self._index.get_current_count() + len(vectors))
        self._index.add_items(vectors, num_threads=threads)

    def searcher(self, *, threads: int = 1, ef: int = 50) -> Search:  # type: ignore[override]
        """Bind `ef`, the length of the candidate list; the library raises it to k where k is greater."""
        index, query, n = self._index, self._index.knn_query, self._index.get_current_count()
        index.set_ef(ef)

        def search(queries: Vectors, k: int) -> Any:
            try:
                return query(queries, min(k, n), threads)[0]
            except RuntimeError:  # fewer than k nodes can be reached
                return [_reachable(index, row, min(k, n)) for row in queries]

        return search

    def index_bytes(self) -> int:
        """Return the size of the graph with its vectors, as the library saves it."""
        return int(self._index.index_file_size())

    def save(self, path: Path) -> None:
        """Write a folder: the library's file, and the dimension that it doesn't hold, in the file's name."""
        path.mkdir(parents=True)
        self._index.save_index(os.fspath(path / f"{self._index.dim}.hnsw"))

    def load(self, path: Path) -> None:
        """Read the folder that `save` wrote."""
        file = next(path.glob("*.hnsw"))
        self._index = hnswlib.Index(_SPACES[self.metric], int(file.stem))
        self._index.load_index(os.fspath(file))


def _reachable(index: Any, query: NDArray[np.float32], k: int) -> Any:
    """Find as many neighbours of one query as the graph reaches: the library answers with exactly k or not at all."""
    low, best = 0, np.empty(0, np.int64)
    high = k  # low neighbours can be had, high can't
    while high - low > 1:
        middle = (low + high) // 2
        try:
            best = index.knn_query(query, middle, 1)[0][0]
        except RuntimeError:
            high = middle
        else:
            low = middle
    return best
