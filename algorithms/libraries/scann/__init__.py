"""ScaNN: a partition tree, anisotropic quantisation (Guo 2020) scanned in registers, and exact reordering."""

from __future__ import annotations

import math
import os
from pathlib import Path
from typing import Any

import numpy as np
import scann

from harness.core.errors import ParameterError
from harness.data.metric import Metric, normalise
from harness.engines.contract import Algorithm, Saves, Search, Vectors

_MEASURES = {Metric.EUCLIDEAN: "squared_l2", Metric.ANGULAR: "dot_product", Metric.IP: "dot_product"}
# Codebooks have 16 entries each, and training them needs as many points.
_FEWEST_TO_QUANTISE = 16


class _Scann(Algorithm, Saves):
    """What the tree and the exact scan share."""

    def __init__(self, metric: Metric) -> None:
        self.metric = Metric(metric)
        if self.metric not in _MEASURES:
            raise ParameterError(f"scann: metric {metric} is not supported; use one of {', '.join(_MEASURES)}")
        self._bytes: int | None = None

    def _rows(self, train: Vectors) -> Vectors:
        # The norm of a query scales its dot products alike, so angular needs no normalised query.
        return normalise(train) if self.metric is Metric.ANGULAR else train

    def _builder(self, rows: Vectors, threads: int) -> Any:
        # The 10 is the default k, which every search overrides.
        return scann.scann_ops_pybind.builder(rows, 10, _MEASURES[self.metric]).set_n_training_threads(threads)

    def _search(self, threads: int, reorder: int, leaves: int) -> Search:
        index, n = self._index, self._index.size()
        one = index.search
        if threads > 1:
            index.set_num_threads(threads)
            many = index.search_batched_parallel
        else:
            many = index.search_batched

        def search(queries: Vectors, k: int) -> Any:
            k = min(k, n)
            # What is not reordered is not returned, so at least k are.
            if len(queries) == 1:
                return one(queries[0], k, max(reorder, k), leaves)[0]
            ids, distances = many(queries, k, max(reorder, k), leaves)
            # A batch is padded with id 0 at distance nan.
            return np.where(np.isnan(distances), np.int64(-1), ids)

        return search

    def index_bytes(self) -> int | None:
        """Return the size by formula, as the library keeps no account; None after `load`."""
        return self._bytes

    def save(self, path: Path) -> None:
        """Write the library's own folder."""
        path.mkdir(parents=True)
        self._index.serialize(os.fspath(path), True)  # noqa: FBT003 - paths relative to the folder, so that it may move

    def load(self, path: Path) -> None:
        """Read the library's own folder."""
        self._index = scann.scann_ops_pybind.load_searcher(os.fspath(path))


class Scann(_Scann):
    """Tree, asymmetric hashing and reordering.

    `anisotropic_quantization_threshold` is the paper's T; None is the plain reconstruction loss.
    """

    def __init__(
        self,
        metric: Metric,
        *,
        num_leaves: int = 1000,
        dimensions_per_block: int = 2,
        anisotropic_quantization_threshold: float | None = 0.2,
        soar_lambda: float | None = None,
        quantize_centroids: bool = False,
    ) -> None:
        super().__init__(metric)
        if num_leaves < 1:
            raise ParameterError(f"scann: num_leaves = {num_leaves}; use at least 1, usually sqrt(n)")
        if dimensions_per_block < 1:
            raise ParameterError(f"scann: dimensions_per_block = {dimensions_per_block}; use at least 1, usually 2")
        if soar_lambda is not None and self.metric is Metric.EUCLIDEAN:
            raise ParameterError(f"scann: soar_lambda = {soar_lambda} needs inner products; leave it out for euclidean")
        self.num_leaves, self.dimensions_per_block = num_leaves, dimensions_per_block
        self.threshold, self.soar_lambda = anisotropic_quantization_threshold, soar_lambda
        self.quantize_centroids = quantize_centroids
        self.effective: dict[str, Any] = {}

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Train the tree on all rows and the codebooks on the library's sample of them, then encode all."""
        rows = self._rows(train)
        n, dim = rows.shape
        builder = self._builder(rows, threads)
        self._bytes = 4 * n * dim
        if n < _FEWEST_TO_QUANTISE:  # too few points to train a codebook: the exact scan alone
            self._index = builder.score_brute_force().build()
            self.effective = {"index": "exact scan"}
            return
        self.effective["num_leaves"] = leaves = min(self.num_leaves, n)
        self.effective["dimensions_per_block"] = blocks = min(self.dimensions_per_block, dim)
        threshold = math.nan if self.threshold is None else self.threshold
        self._index = (
            builder.tree(
                num_leaves=leaves,
                num_leaves_to_search=leaves,
                training_sample_size=n,
                spherical=self.metric is Metric.ANGULAR,
                soar_lambda=self.soar_lambda,
                quantize_centroids=self.quantize_centroids,
            )
            .score_ah(blocks, anisotropic_quantization_threshold=threshold)
            .reorder(100)
            .build()
        )
        copies = 1 if self.soar_lambda is None else 2  # SOAR puts every point in a second leaf
        code = math.ceil(math.ceil(dim / blocks) / 2)
        # Vectors for the reordering, leaf centres, 16 codewords a block, then a code and a leaf member a point.
        self._bytes = 4 * n * dim + 4 * leaves * dim + 4 * 16 * dim + copies * n * (code + 4)

    def searcher(self, *, threads: int = 1, leaves_to_search: int = 20, reorder: int = 100) -> Search:  # type: ignore[override]
        """Bind how many leaves are searched, and how many candidates are ranked again by exact distances."""
        return self._search(threads, reorder, leaves_to_search)


class ScannBruteForce(_Scann):
    """Exact scan."""

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Copy the rows."""
        self._bytes = train.nbytes
        self._index = self._builder(self._rows(train), threads).score_brute_force().build()

    def searcher(self, *, threads: int = 1) -> Search:  # type: ignore[override]
        """Bind the number of threads."""
        return self._search(threads, -1, -1)


__all__ = ["Scann", "ScannBruteForce"]
