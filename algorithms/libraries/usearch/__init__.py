"""USearch: HNSW in one C++ header, with SIMD kernels of its own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from usearch.index import Index

from harness.core.errors import ParameterError
from harness.data.metric import Metric
from harness.engines.contract import Algorithm, Grows, PackedBits, Saves, Search, Vectors

_METRICS = {Metric.EUCLIDEAN: "l2sq", Metric.ANGULAR: "cos", Metric.IP: "ip", Metric.HAMMING: "hamming"}
_DTYPES = ("f32", "f16", "bf16", "i8")


class USearch(Algorithm, Saves, Grows):
    """HNSW with `connectivity` links a node; vectors are kept as `dtype` (packed bits under hamming)."""

    def __init__(self, metric: Metric, *, connectivity: int = 16, expansion_add: int = 128, dtype: str = "f32") -> None:
        self.metric = Metric(metric)
        if self.metric not in _METRICS:
            raise ParameterError(f"usearch: metric {metric} is not supported; use one of {', '.join(_METRICS)}")
        if connectivity < 2:
            raise ParameterError(
                f"usearch: connectivity = {connectivity} is too small; use at least 2, usually 8 to 64"
            )
        if expansion_add < 1:
            raise ParameterError(f"usearch: expansion_add = {expansion_add}; use at least 1, usually 100 to 500")
        if dtype not in _DTYPES:
            raise ParameterError(f"usearch: dtype = {dtype!r} is unknown; use one of {', '.join(_DTYPES)}")
        if dtype == "i8" and self.metric is not Metric.ANGULAR:
            # The library scales each vector to fit 8 bits, so lengths are lost.
            raise ParameterError(f"usearch: dtype = 'i8' loses the lengths that {metric} needs; use f16 or bf16")
        if self.metric is Metric.HAMMING and dtype != "f32":
            raise ParameterError(f"usearch: dtype = {dtype!r} is for floats; under hamming bits are kept as they are")
        self.connectivity, self.expansion_add, self.dtype = connectivity, expansion_add, dtype

    def _empty(self, columns: int) -> Any:
        bits = self.metric is Metric.HAMMING
        return Index(
            ndim=8 * columns if bits else columns,
            metric=_METRICS[self.metric],
            dtype="b1" if bits else self.dtype,
            connectivity=self.connectivity,
            expansion_add=self.expansion_add,
        )

    def fit(self, train: Vectors | PackedBits, *, threads: int = 1) -> None:
        """Insert the rows one by one."""
        self._index = self._empty(train.shape[1])
        self.add(train, threads=threads)

    def add(self, vectors: Vectors | PackedBits, *, threads: int = 1) -> None:
        """Insert more rows."""
        first = len(self._index)
        self._index.add(np.arange(first, first + len(vectors), dtype=np.uint64), vectors, threads=threads)

    def searcher(self, *, threads: int = 1, expansion_search: int = 64) -> Search:  # type: ignore[override]
        """Bind `expansion_search`, the length of the candidate list, which the library raises to k."""
        self._index.expansion_search = expansion_search
        search, n = self._index.search, len(self._index)

        def find(queries: Any, k: int) -> Any:
            found = search(queries, min(k, n), threads=threads)
            if len(queries) == 1:
                return found.keys
            # A batch has key 0 where fewer were found.
            return np.where(np.arange(found.keys.shape[1]) < found.counts[:, None], found.keys.astype(np.int64), -1)

        return find

    def index_bytes(self) -> int:
        """Return the size of the graph with its vectors, as the library serialises it."""
        return int(self._index.serialized_length)

    def save(self, path: Path) -> None:
        """Write a folder: the library's file, and the number of columns in the file's name."""
        path.mkdir(parents=True)
        columns = self._index.ndim // (8 if self.metric is Metric.HAMMING else 1)
        self._index.save(os.fspath(path / f"{columns}.usearch"))

    def load(self, path: Path) -> None:
        """Read the folder that `save` wrote."""
        file = next(path.glob("*.usearch"))
        self._index = self._empty(int(file.stem))
        self._index.load(os.fspath(file))
