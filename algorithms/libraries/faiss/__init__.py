"""FAISS: exact scans, inverted files, product quantisation with fast scan, HNSW and LSH."""

from __future__ import annotations

import math
import os
from abc import abstractmethod
from pathlib import Path
from typing import Any

import faiss as faiss_with_stubs
import numpy as np

from harness.core.errors import ParameterError
from harness.data.metric import Metric, normalise
from harness.engines.contract import Algorithm, Grows, Ranges, RangeSearch, Saves, Search, Vectors

# The library's type stubs lack what SWIG makes at run time.
faiss: Any = faiss_with_stubs

# A row at the radius itself must count, whatever rounding makes of it.
_NEARLY = 1e-6

# Codebooks of 4 bits have 16 entries, and k-means needs a point for each.
_FAST_SCAN_CENTROIDS = 16


class _Faiss(Algorithm, Saves, Grows):
    """What all float indexes share: a subclass makes an empty index and sets the search parameters on it."""

    metrics: tuple[Metric, ...] = (Metric.EUCLIDEAN, Metric.ANGULAR, Metric.IP)

    def __init__(self, metric: Metric) -> None:
        self.metric = Metric(metric)
        if self.metric not in self.metrics:
            raise ParameterError(f"faiss: metric {metric} is not supported; use one of {', '.join(self.metrics)}")
        self.effective: dict[str, Any] = {}

    @abstractmethod
    def _empty(self, n: int, dim: int) -> Any:
        """Make the index that n rows are added to."""

    @property
    def _faiss_metric(self) -> Any:
        return faiss.METRIC_L2 if self.metric is Metric.EUCLIDEAN else faiss.METRIC_INNER_PRODUCT

    def _rows(self, vectors: Vectors) -> Vectors:
        return normalise(vectors) if self.metric is Metric.ANGULAR else vectors

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Train what has to be trained, then add the rows."""
        faiss.omp_set_num_threads(threads)
        rows = self._rows(train)
        self._index = self._empty(*rows.shape)
        self._index.train(rows)
        self._index.add(rows)

    def add(self, vectors: Vectors, *, threads: int = 1) -> None:
        """Add rows to the index as it was trained."""
        faiss.omp_set_num_threads(threads)
        self._index.add(self._rows(vectors))

    def _bound(self, threads: int) -> Search:
        """Make the callable, once the search parameters have been put on the index."""
        faiss.omp_set_num_threads(threads)
        search = self._index.search
        # The norm of a query scales its inner products alike, so angular needs no normalised query.
        return lambda queries, k: search(queries, k)[1]

    def index_bytes(self) -> int:
        """Return the size of the index as the library serialises it, vectors included."""
        writer = _ByteCount()
        faiss.write_index(self._index, faiss.PyCallbackIOWriter(writer))
        return writer.total

    def save(self, path: Path) -> None:
        """Write the library's own file."""
        faiss.write_index(self._index, os.fspath(path))

    def load(self, path: Path) -> None:
        """Read the library's own file."""
        self._index = faiss.read_index(os.fspath(path))


class _Ranges(_Faiss, Ranges):
    """Those whose library class can also return all rows within a radius."""

    def range_searcher(self, *, threads: int = 1, **search_params: Any) -> RangeSearch:
        """Bind the search parameters, then ask for all rows within a radius."""
        self.searcher(threads=threads, **search_params)
        range_search, metric = self._index.range_search, self.metric

        def search(queries: Vectors, radius: float) -> Any:
            if metric is Metric.EUCLIDEAN:
                if radius < 0:
                    return np.zeros(len(queries) + 1, np.int64), np.empty(0, np.int64)
                limit = radius * radius * (1.0 + 2 * _NEARLY)  # the library's distances are squared, and below it
            elif metric is Metric.HAMMING:
                limit = math.floor(radius * 8 * queries.shape[1] + _NEARLY) + 1
            else:
                queries = normalise(queries) if metric is Metric.ANGULAR else queries
                similarity = 1.0 - radius if metric is Metric.ANGULAR else -radius
                limit = similarity - _NEARLY * max(abs(similarity), _NEARLY)
            indptr, _, ids = range_search(queries, limit)
            return indptr.astype(np.int64), ids

        return search


class _ByteCount:
    """A sink that counts what is written to it: an index is sized without a second copy in memory."""

    def __init__(self) -> None:
        self.total = 0

    def __call__(self, chunk: bytes) -> None:
        self.total += len(chunk)


class Flat(_Ranges):
    """Exact scan; under hamming, over packed bits."""

    metrics = (Metric.EUCLIDEAN, Metric.ANGULAR, Metric.IP, Metric.HAMMING)

    def _empty(self, n: int, dim: int) -> Any:
        del n
        return faiss.IndexFlat(dim, self._faiss_metric)

    def fit(self, train: Any, *, threads: int = 1) -> None:
        """Copy the rows: float32, or packed bits under hamming."""
        if self.metric is not Metric.HAMMING:
            super().fit(train, threads=threads)
            return
        self._index = faiss.IndexBinaryFlat(8 * train.shape[1])
        self._index.add(train)

    def searcher(self, *, threads: int = 1) -> Search:  # type: ignore[override]
        """Bind the number of threads."""
        return self._bound(threads)

    def index_bytes(self) -> int:
        """Return the size of the rows."""
        return int(self._index.ntotal * self._index.code_size)

    def save(self, path: Path) -> None:
        """Write the library's own file."""
        write = faiss.write_index_binary if self.metric is Metric.HAMMING else faiss.write_index
        write(self._index, os.fspath(path))

    def load(self, path: Path) -> None:
        """Read the library's own file."""
        read = faiss.read_index_binary if self.metric is Metric.HAMMING else faiss.read_index
        self._index = read(os.fspath(path))


class _IVF(_Faiss):
    """An inverted file: k-means cells, of which a search visits `nprobe`."""

    def __init__(self, metric: Metric, *, n_lists: int = 1024) -> None:
        super().__init__(metric)
        if n_lists < 1:
            raise ParameterError(f"faiss: n_lists = {n_lists}; use at least 1, usually 1 to 4 times sqrt(n)")
        self.n_lists = n_lists

    def _make(self, n: int, dim: int, encoding: str, padded: int = 0) -> Any:
        """Make an inverted file of at most `n` lists, over vectors padded with zeros to more dimensions if asked."""
        # k-means needs a point for each cell.
        self.effective["n_lists"] = n_lists = min(self.n_lists, n)
        padding = f"Pad{padded}," if padded > dim else ""
        index = faiss.index_factory(dim, f"{padding}IVF{n_lists},{encoding}", self._faiss_metric)
        # The library prints a warning below 39 points a cell; small sets are meant here.
        faiss.extract_index_ivf(index).cp.min_points_per_centroid = 1
        return index

    def searcher(self, *, threads: int = 1, nprobe: int = 1) -> Search:  # type: ignore[override]
        """Bind `nprobe`, the number of cells that a search visits."""
        ivf = faiss.extract_index_ivf(self._index)
        ivf.nprobe = min(max(nprobe, 1), ivf.nlist)
        return self._bound(threads)


class IVFFlat(_IVF, _Ranges):
    """Cells of uncompressed vectors."""

    def _empty(self, n: int, dim: int) -> Any:
        return self._make(n, dim, "Flat")


class IVFSQ8(_IVF, _Ranges):
    """Cells of vectors in 8 bits a dimension; the order is that of the quantised vectors."""

    def _empty(self, n: int, dim: int) -> Any:
        return self._make(n, dim, "SQ8")


class IVFPQFastScan(_IVF):
    """Cells of product-quantised vectors, 4 bits a subspace, scanned in registers (Andre 2015), then re-ranked exactly.

    Each subspace has the number of dimensions nearest to dim / `n_subspaces`. Where that doesn't divide the dimension,
    vectors are padded with zeros, which changes no distance, and there may be more or fewer (`effective` tells).
    """

    def __init__(self, metric: Metric, *, n_lists: int = 1024, n_subspaces: int = 32) -> None:
        super().__init__(metric, n_lists=n_lists)
        if n_subspaces < 1:
            raise ParameterError(
                f"faiss-ivf-pq-fs: n_subspaces = {n_subspaces}; use at least 1, usually dim/2 or dim/4"
            )
        self.n_subspaces = n_subspaces

    def _empty(self, n: int, dim: int) -> Any:
        if n < _FAST_SCAN_CENTROIDS:  # too few points to train a codebook: the exact scan alone
            self.effective = {"index": "exact scan"}
            return faiss.IndexFlat(dim, self._faiss_metric)
        block = max(1, round(dim / min(self.n_subspaces, dim)))
        self.effective["n_subspaces"] = parts = -(-dim // block)
        index = self._make(n, dim, f"PQ{parts}x4fs,RFlat", padded=parts * block)
        faiss.downcast_index(faiss.extract_index_ivf(index)).pq.cp.min_points_per_centroid = 1
        return index

    def searcher(  # type: ignore[override]
        self, *, threads: int = 1, nprobe: int = 1, k_factor: float = 4
    ) -> Search:
        """Bind `nprobe`, and `k_factor`: the best k * k_factor by code are ranked again by exact distances."""
        if not isinstance(self._index, faiss.IndexRefine):
            return self._bound(threads)
        self._index.k_factor = max(float(k_factor), 1.0)
        return super().searcher(threads=threads, nprobe=nprobe)


class HNSW(_Ranges):
    """HNSW over uncompressed vectors."""

    def __init__(self, metric: Metric, *, M: int = 16, ef_construction: int = 200) -> None:
        super().__init__(metric)
        if M < 2:
            raise ParameterError(f"faiss-hnsw: M = {M} leaves nodes without links; use at least 2, usually 8 to 64")
        if ef_construction < 1:
            raise ParameterError(f"faiss-hnsw: ef_construction = {ef_construction}; use at least 1, usually 100 to 500")
        self.M, self.ef_construction = M, ef_construction

    def _empty(self, n: int, dim: int) -> Any:
        del n
        index = faiss.IndexHNSWFlat(dim, self.M, self._faiss_metric)
        index.hnsw.efConstruction = self.ef_construction
        return index

    def searcher(self, *, threads: int = 1, ef: int = 50) -> Search:  # type: ignore[override]
        """Bind `ef`, the length of the candidate list, which the library raises to k."""
        self._index.hnsw.efSearch = max(ef, 1)
        return self._bound(threads)


class LSH(_Faiss):
    """Signs of random rotations (Charikar 2002) compared by hamming distance; the best k * k_factor ranked exactly."""

    metrics = (Metric.EUCLIDEAN, Metric.ANGULAR)

    def __init__(self, metric: Metric, *, n_bits: int = 256) -> None:
        super().__init__(metric)
        if n_bits < 1:
            raise ParameterError(f"faiss-lsh: n_bits = {n_bits}; use at least 1, usually dim to 16 * dim")
        self.n_bits = n_bits

    def _empty(self, n: int, dim: int) -> Any:
        del n
        # Data under euclidean need not lie around the origin, so there each bit splits at its median.
        at_median = self.metric is Metric.EUCLIDEAN
        self._codes = faiss.IndexLSH(dim, self.n_bits, True, at_median)  # noqa: FBT003 - SWIG takes no keywords
        # Re-ranking is by the metric of IndexLSH, L2, which ranks unit vectors as the angle does.
        return faiss.IndexRefineFlat(self._codes)

    def searcher(self, *, threads: int = 1, k_factor: float = 16) -> Search:  # type: ignore[override]
        """Bind `k_factor`: the best k * k_factor by hamming distance are ranked again by exact distances."""
        self._index.k_factor = max(float(k_factor), 1.0)
        return self._bound(threads)


class LSHCodes(LSH):
    """The same codes without re-ranking: the k nearest by hamming distance, and no vectors kept."""

    def _empty(self, n: int, dim: int) -> Any:
        super()._empty(n, dim)
        return self._codes

    def searcher(self, *, threads: int = 1) -> Search:  # type: ignore[override]
        """Bind the number of threads."""
        return self._bound(threads)


__all__ = ["HNSW", "IVFSQ8", "LSH", "Flat", "IVFFlat", "IVFPQFastScan", "LSHCodes"]
