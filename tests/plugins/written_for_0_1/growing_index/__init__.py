"""An index with every ability of the first contract, as a plug-in of annbench 0.1 would declare them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from harness.contract import Algorithm, ExactNeighbors, Grows, Saves, Search, Vectors, as_neighbors
from harness.errors import ParameterError, PluginError
from harness.metric import Metric, neighbour_distances


class GrowingIndex(Algorithm, Saves, Grows, ExactNeighbors):
    """Exact search in one block, which can be saved, and takes more vectors later."""

    def __init__(self, metric: Metric) -> None:
        if metric != Metric.EUCLIDEAN:
            raise ParameterError(f"growing-index: metric {metric} is not supported; use euclidean")
        self.metric = Metric(metric)

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Keep a copy of the vectors."""
        self.rows = np.array(train)

    def add(self, vectors: Vectors, *, threads: int = 1) -> None:
        """Put vectors behind those that are there."""
        self.rows = np.concatenate([self.rows, vectors])

    def searcher(self, *, threads: int = 1, **search_params: Any) -> Search:
        """Return the search; there is nothing to bind."""
        if search_params:
            raise ParameterError(f"growing-index: {', '.join(search_params)}: no such search parameter")

        def search(queries: Vectors, k: int) -> Any:
            return self._distances(queries).argsort(axis=1, kind="stable")[:, :k]

        return search

    def nearest(self, queries: Vectors, k: int, *, threads: int = 1) -> Any:
        """Return true neighbours and distances, (m, k) each."""
        distances = self._distances(queries)
        ids = as_neighbors(distances.argsort(axis=1, kind="stable")[:, :k], len(queries), k, len(self.rows))
        found = np.take_along_axis(distances, np.maximum(ids, 0), axis=1)
        return ids, np.where(ids < 0, np.inf, found)

    def save(self, path: Path) -> None:
        """Write the rows."""
        with path.open("wb") as file:
            np.save(file, self.rows, allow_pickle=False)

    def load(self, path: Path) -> None:
        """Read the rows."""
        try:
            self.rows = np.load(path, allow_pickle=False)
        except ValueError as problem:
            raise PluginError(f"{path}: no index of growing-index ({problem})") from None

    def _distances(self, queries: Vectors) -> Any:
        every = np.tile(np.arange(len(self.rows)), (len(queries), 1))
        return neighbour_distances(self.metric, queries, self.rows, every)
