"""LoRANN: clusters, scored by reduced-rank regression (Jaasaari 2024), the best candidates then ranked exactly."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import lorann
import numpy as np

from harness.core.errors import ParameterError
from harness.data.metric import Metric, normalise
from harness.engines.contract import Algorithm, Saves, Search, Vectors

_METRICS = {Metric.EUCLIDEAN: lorann.L2, Metric.ANGULAR: lorann.IP, Metric.IP: lorann.IP}
_RANKS = (16, 32, 64)
_BITS = (4, 8)
# The library takes 64 dimensions or more, and ranks below that; zeros appended change neither distances nor products.
_FEWEST_DIMENSIONS = 96


class LoRANN(Algorithm, Saves):
    """`n_clusters` clusters, each with a model of rank `rank` trained on `train_size` nearby clusters.

    `global_dim` is the dimension that vectors are first reduced to, a multiple of 32; None keeps them (the library's
    advice below 200 dimensions; 128 up to 1,000 and 256 beyond).
    """

    def __init__(
        self,
        metric: Metric,
        *,
        n_clusters: int = 1024,
        global_dim: int | None = None,
        rank: int = 32,
        train_size: int = 5,
        quantization_bits: int = 8,
    ) -> None:
        self.metric = Metric(metric)
        if self.metric not in _METRICS:
            raise ParameterError(f"lorann: metric {metric} is not supported; use one of {', '.join(_METRICS)}")
        if n_clusters < 1:
            raise ParameterError(f"lorann: n_clusters = {n_clusters}; use at least 1, usually sqrt(n)")
        if global_dim is not None and (global_dim < 1 or global_dim % 32):
            raise ParameterError(f"lorann: global_dim = {global_dim}; use a multiple of 32, or leave it out")
        if rank not in _RANKS:
            raise ParameterError(f"lorann: rank = {rank}; use one of {', '.join(map(str, _RANKS))}")
        if quantization_bits not in _BITS:
            raise ParameterError(f"lorann: quantization_bits = {quantization_bits}; use 4 or 8")
        if train_size < 1:
            raise ParameterError(f"lorann: train_size = {train_size}; use at least 1, usually 5")
        self.n_clusters, self.global_dim, self.rank = n_clusters, global_dim, rank
        self.train_size, self.bits = train_size, quantization_bits
        self.effective: dict[str, Any] = {}

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Cluster, then fit the models. The library keeps a reference to the rows."""
        n, dim = train.shape
        rows = normalise(train) if self.metric is Metric.ANGULAR else train
        self._rows = rows if dim >= _FEWEST_DIMENSIONS else _padded(rows)
        dim = self._rows.shape[1]
        clusters = min(self.n_clusters, max(1, n // 2))
        reduced = None if self.global_dim is None else min(self.global_dim, dim // 32 * 32)
        self.effective = {"n_clusters": clusters, "global_dim": dim // 32 * 32 if reduced is None else reduced}
        if clusters < self.train_size:
            self.effective["train_size"] = clusters
        self._index = lorann.LorannIndex(
            self._rows, clusters, reduced, self.bits, self.rank, min(self.train_size, clusters), _METRICS[self.metric]
        )
        self._index.build(n_threads=threads)

    def searcher(  # type: ignore[override]
        self, *, threads: int = 1, clusters_to_search: int = 16, points_to_rerank: int = 100
    ) -> Search:
        """Bind the clusters that are looked into, and the candidates ranked again by exact distances (k at least)."""
        find, n, narrow = self._index.search, self._index.n_samples, self._index.dim == _FEWEST_DIMENSIONS
        clusters = min(clusters_to_search, self._index.n_clusters)

        def search(queries: Vectors, k: int) -> Any:
            # The norm of a query scales its inner products alike, so angular needs no normalised query.
            if narrow:
                queries = _padded(queries)
            k = min(k, n)
            return find(queries, k, clusters, max(points_to_rerank, k), n_threads=threads)

        return search

    def index_bytes(self) -> int:
        """Return the size by formula, as the library keeps no account.

        The rows; a number for each cluster member; each cluster's centre; and its model, a matrix of global_dim x rank
        and one of rank x members.
        """
        n, dim, clusters = self._index.n_samples, self._index.dim, self._index.n_clusters
        reduced = self.effective.get("global_dim", dim)
        model = self.bits * self.rank * (reduced * clusters + n) // 8
        return int(4 * n * dim + 4 * n + 4 * clusters * reduced + 4 * dim * reduced + model)

    def save(self, path: Path) -> None:
        """Write the library's own file, vectors included."""
        self._index.save(os.fspath(path))

    def load(self, path: Path) -> None:
        """Read the library's own file."""
        self._index = lorann.LorannIndex.load(os.fspath(path))


def _padded(vectors: Vectors) -> Vectors:
    return np.pad(vectors, ((0, 0), (0, max(0, _FEWEST_DIMENSIONS - vectors.shape[1]))))
