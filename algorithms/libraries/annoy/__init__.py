"""Annoy: a forest of trees that split by random hyperplanes."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import annoy
import numpy as np

from harness.core.errors import ParameterError
from harness.data.metric import Metric
from harness.engines.contract import Algorithm, PackedBits, Saves, Search, Vectors

_METRICS: dict[Metric, Any] = {
    Metric.EUCLIDEAN: "euclidean",
    Metric.ANGULAR: "angular",
    Metric.IP: "dot",
    Metric.HAMMING: "hamming",
}
# Rows turned into lists of Python floats at a time.
_BLOCK = 4096


class Annoy(Algorithm, Saves):
    """`n_trees` trees; a search opens nodes, nearest split first, until it has `search_k` candidates."""

    def __init__(self, metric: Metric, *, n_trees: int = 100, seed: int = 1) -> None:
        self.metric = Metric(metric)
        if self.metric not in _METRICS:
            raise ParameterError(f"annoy: metric {metric} is not supported; use one of {', '.join(_METRICS)}")
        if n_trees < 1:
            raise ParameterError(f"annoy: n_trees = {n_trees}; use at least 1, usually 50 to 400")
        self.n_trees, self.seed = n_trees, seed

    def fit(self, train: Vectors | PackedBits, *, threads: int = 1) -> None:
        """Add the rows, as lists, then grow the trees."""
        bits = self.metric is Metric.HAMMING
        self._dim = train.shape[1] * (8 if bits else 1)
        self._index = annoy.AnnoyIndex(self._dim, _METRICS[self.metric])
        self._index.set_seed(self.seed)
        for start in range(0, len(train), _BLOCK):
            block = train[start : start + _BLOCK]
            rows: Any = np.unpackbits(block.view(np.uint8), axis=1) if bits else block
            for i, row in enumerate(rows.tolist(), start):
                self._index.add_item(i, row)
        self._index.build(self.n_trees, threads)

    def searcher(self, *, threads: int = 1, search_k: int = 1000) -> Search:  # type: ignore[override]
        """Bind `search_k`; threads share the queries of a batch, as the library searches without Python's lock."""
        nearest, bits = self._index.get_nns_by_vector, self.metric is Metric.HAMMING

        def one(row: Any, k: int) -> Any:
            # A list of floats goes into the library faster than an array does.
            return nearest((np.unpackbits(row) if bits else row).tolist(), k, search_k)

        if threads == 1:
            return lambda queries, k: [one(row, k) for row in queries]
        pool = ThreadPoolExecutor(threads)

        def search(queries: Any, k: int) -> Any:
            return list(pool.map(one, queries, [k] * len(queries)))

        return search

    def index_bytes(self) -> int:
        """Return an estimate, as the library keeps no account.

        A node is the vector and up to 16 bytes. A leaf takes as many 4-byte ids as fit into a node, and random splits
        leave it two thirds full; with the inner nodes that is about 12 bytes an item and tree, whatever the dimension.
        """
        vector = self._dim // 8 if self.metric is Metric.HAMMING else 4 * self._dim
        return int(self._index.get_n_items() * (vector + 16 + 12 * self._index.get_n_trees()))

    def save(self, path: Path) -> None:
        """Write a folder: the library's file, and the dimension that it doesn't hold, in the file's name."""
        path.mkdir(parents=True)
        self._index.save(os.fspath(path / f"{self._dim}.annoy"))

    def load(self, path: Path) -> None:
        """Map the file that `save` wrote."""
        file = next(path.glob("*.annoy"))
        self._dim = int(file.stem)
        self._index = annoy.AnnoyIndex(self._dim, _METRICS[self.metric])
        self._index.load(os.fspath(file))
