"""Exact nearest neighbours: the measure of all others, and the engine of the ground truth.

One query is a single pass over the rows, at the speed of memory. Many queries are blocks of matrix products (BLAS);
candidates that pass a running threshold are kept, ranked again in float64, and certified against rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from algorithms.brute_force import kernels
from algorithms.brute_force.ranges import within_radius
from algorithms.kernels.jit import read_only
from algorithms.kernels.select.topk import offer_block
from harness.core.errors import ParameterError
from harness.data.metric import Metric, normalise
from harness.engines.contract import (
    Algorithm,
    Attributes,
    Deletes,
    ExactNeighbors,
    FilteredSearch,
    Filters,
    Predicate,
    Ranges,
    RangeSearch,
    Search,
)

# Shapes at which BLAS is at its best, while a block of products (10 MiB at most) still fits into the last-level cache.
QUERY_BLOCK = 1280
ROW_BLOCK = 2048
# Candidates kept beyond k, so that rounding in the products can't push a true neighbour out unnoticed.
SPARE = 28
# Products of float32 vectors are off by less than this many units of rounding times sqrt(dim) |q| |x|, but for chances
# that are negligible (Higham and Mary, SIAM J. Sci. Comput. 41, 2019).
ROUNDING_FACTOR = 6.0

Answer = tuple[NDArray[np.int64], NDArray[np.float64]]


class BruteForce(Algorithm, ExactNeighbors, Filters, Deletes, Ranges):
    """Exact search under every metric, among all rows or those that match a predicate.

    `fit` keeps a reference to float32 rows under euclidean and ip, normalised ones under angular, 64-bit words under
    hamming, and the sets themselves under jaccard.
    """

    _ids: NDArray[np.int64] | None = None  # ascending: the id of each row that is left; None until one is deleted
    _attributes: Attributes | None = None

    def __init__(self, metric: Metric) -> None:
        self._metric = Metric(metric)
        self._inner_product = self._metric in (Metric.ANGULAR, Metric.IP)

    def compile(self, sample: Any) -> None:
        """Compile what a search of this metric calls, on copies of the sample."""
        for queries in (sample[:1], sample[: min(len(sample), 3)]):
            warm = BruteForce(self._metric)
            warm.fit(sample)
            warm.searcher()(queries, 1)

    def fit(self, train: Any, *, threads: int = 1) -> None:
        """Keep `train` (n, dim); there is no index to build."""
        del threads  # a pass over the rows is all there is to do
        rows = train
        if self._metric is Metric.HAMMING:
            rows = _words(train)
        elif self._metric is Metric.ANGULAR:
            rows = normalise(train)
        self._ids = None
        self._keep(rows)

    def _keep(self, rows: Any) -> None:
        """Keep rows in the form that searches read."""
        self._rows = rows
        if self._metric is Metric.JACCARD:
            self._universe = int(rows.indices.max(initial=-1)) + 1
        if self._metric.is_dense:
            # numba compiles for read-only and for writable arrays apart: one of the two is enough.
            self._rows = read_only(self._rows)
            squares = np.einsum("ij,ij->i", self._rows, self._rows, dtype=np.float64)
            self._largest_norm = float(np.sqrt(squares.max(initial=0.0)))
            offsets = np.zeros_like(squares) if self._inner_product else 0.5 * squares
            self._offsets = offsets.astype(np.float32)

    def searcher(self, *, threads: int = 1, **search_params: Any) -> Search:
        """Bind the number of threads, which serve batches; one query is answered by one thread."""
        _refuse(search_params)
        one, ids = self._search_one(), self._ids

        def search(queries: Any, k: int) -> NDArray[np.int64]:
            if len(queries) == 1:
                found = one(queries, k)
                return found if ids is None else _named(found, ids)
            return self.nearest(queries, k, threads=threads)[0]

        return search

    def delete(self, ids: Any) -> None:
        """Move the rows that are left together. Raises ParameterError for an id that isn't there."""
        present = np.arange(len(self._rows)) if self._ids is None else self._ids
        gone = np.isin(present, ids)
        if int(gone.sum()) < len(np.unique(ids)):
            absent = np.setdiff1d(ids, present)[0]
            raise ParameterError(f"brute_force: there is no id {absent} to delete: never given, or deleted already")
        self._ids = present[~gone]
        self._keep(self._rows[~gone])

    def attach(self, attributes: Attributes) -> None:
        """Keep the attributes of the rows that `fit` is given next."""
        self._attributes = attributes

    def filtered_searcher(self, *, threads: int = 1, **search_params: Any) -> FilteredSearch:
        """Bind the number of threads. The rows that match are copied for each predicate, and searched."""
        _refuse(search_params)

        def search(queries: Any, k: int, predicates: Sequence[Predicate]) -> NDArray[np.int64]:
            found = np.full((len(queries), k), -1, np.int64)
            for predicate in dict.fromkeys(predicates):
                asking = np.array([one == predicate for one in predicates])
                found[asking] = self._matching(predicate).nearest(queries[asking], k, threads=threads)[0]
            return found

        return search

    def _matching(self, predicate: Predicate) -> BruteForce:
        """Return an index of the rows that match."""
        if self._attributes is None:
            raise ParameterError("brute_force: no attributes were attached before fit, so that nothing can be filtered")
        mask = predicate.mask(self._attributes)
        part = BruteForce(self._metric)
        part._ids = np.flatnonzero(mask) if self._ids is None else self._ids[mask[self._ids]]
        part._keep(self._rows[mask if self._ids is None else mask[self._ids]])
        return part

    def range_searcher(self, *, threads: int = 1, **search_params: Any) -> RangeSearch:
        """Bind the number of threads that products of blocks may use; exact."""
        _refuse(search_params)
        offsets, ids = self._offsets if self._metric.is_dense else None, self._ids
        longest = self._largest_norm if self._metric.is_dense else 0.0

        def search(queries: Any, radius: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
            indptr, found = within_radius(self._metric, self._rows, offsets, longest, queries, radius, threads)
            return indptr, found if ids is None else ids[found]

        return search

    def index_bytes(self) -> int:
        """Return the size of the rows that a search reads."""
        if self._metric is Metric.JACCARD:
            return int(self._rows.indptr.nbytes + self._rows.indices.nbytes)
        return int(self._rows.nbytes)

    def _search_one(self) -> Callable[[Any, int], NDArray[np.int64]]:
        rows = self._rows
        if self._metric in (Metric.HAMMING, Metric.JACCARD):
            return lambda queries, k: self._scan(queries, k)[0]
        if self._metric is Metric.ANGULAR:

            def search_unit(queries: Any, k: int) -> NDArray[np.int64]:
                ids = np.empty((1, k), np.int64)
                kernels.scan_unit(rows, read_only(normalise(queries))[0], k + SPARE, ids[0])
                return ids

            return search_unit
        scan = kernels.scan_dot if self._inner_product else kernels.scan_l2

        def search(queries: Any, k: int) -> NDArray[np.int64]:
            ids = np.empty((1, k), np.int64)
            scan(rows, queries[0], np.empty(k, np.float32), ids[0])
            return ids

        return search

    def nearest(self, queries: Any, k: int, *, threads: int = 1) -> Answer:
        """Find the k nearest rows of each query; see `harness.engines.contract.ExactNeighbors`."""
        m = len(queries)
        ids, distances = np.empty((m, k), np.int64), np.empty((m, k), np.float64)
        if len(self._rows) == 0:  # none is left, or none matches
            ids.fill(-1)
            distances.fill(np.inf)
            return ids, distances
        search = self._search_block if self._metric.is_dense else self._scan_block
        if self._metric is Metric.ANGULAR:
            queries = normalise(queries)
        if self._metric.is_dense:
            queries = read_only(queries)

        step = _even_step(m, threads)

        def work(start: int) -> None:
            part = slice(start, min(start + step, m))
            search(queries[part], ids[part], distances[part])

        starts = range(0, m, step)
        # Each thread multiplies and scans blocks of its own: BLAS with threads inside would wait for every scan.
        with threadpool_limits(limits=1, user_api="blas"):
            if threads > 1 and len(starts) > 1:
                with ThreadPoolExecutor(threads) as pool:
                    list(pool.map(work, starts))
            else:
                for start in starts:
                    work(start)
        if self._metric is Metric.EUCLIDEAN:
            np.sqrt(distances, out=distances)
        elif self._metric is Metric.ANGULAR:
            distances += 1.0
            np.maximum(distances, 0.0, out=distances)
        return ids if self._ids is None else _named(ids, self._ids), distances

    def _search_block(self, queries: NDArray[np.float32], ids: Any, distances: Any) -> None:
        (m, dim), n, k = queries.shape, len(self._rows), ids.shape[1]
        keep = min(n, k + SPARE)
        # Every buffer holds the candidates that may still be among the `keep` best: see `offer_block`.
        capacity = keep + max(keep, 64)
        scores = np.empty((m, capacity), np.float32)
        candidates = np.empty((m, capacity), np.int64)
        counts = np.zeros(m, np.int64)
        thresholds = np.full(m, np.inf, np.float32)
        products = np.empty((m, min(ROW_BLOCK, n)), np.float32)
        for first in range(0, n, ROW_BLOCK):
            rows = self._rows[first : first + ROW_BLOCK]
            out = products[:, : len(rows)]
            np.matmul(queries, rows.T, out=out)
            offsets = self._offsets[first : first + len(rows)]
            offer_block(out, offsets, first, thresholds, counts, scores, candidates, keep)
        norms = np.sqrt(np.einsum("ij,ij->i", queries, queries, dtype=np.float64))
        reach = norms if self._inner_product else norms + self._largest_norm
        unit = float(np.finfo(np.float32).eps) / 2
        slack = ROUNDING_FACTOR * np.sqrt(dim) * unit * reach * self._largest_norm
        kernels.refine(
            self._rows,
            queries,
            self._inner_product,
            self._metric is Metric.ANGULAR,
            counts,
            scores,
            candidates,
            keep,
            slack,
            distances,
            ids,
        )

    def _scan_block(self, queries: Any, ids: Any, distances: Any) -> None:
        for i in range(len(queries)):
            ids[i], distances[i] = (found[0] for found in self._scan(queries[i : i + 1], ids.shape[1]))

    def _scan(self, queries: Any, k: int) -> Answer:
        """Search bits or sets with one query by a pass over all of them."""
        ids, distances = np.empty((1, k), np.int64), np.empty((1, k), np.float64)
        if self._metric is Metric.JACCARD:
            marks = np.zeros(self._universe, np.uint8)
            kernels.scan_sets(self._rows.indptr, self._rows.indices, queries.row(0), marks, distances[0], ids[0])
        else:
            kernels.scan_bits(self._rows, _words(queries)[0], distances[0], ids[0])
            distances /= 8.0 * queries.shape[1]
        return ids, distances


def _refuse(search_params: dict[str, Any]) -> None:
    if search_params:
        raise ParameterError(f"brute_force has no search parameters; got {', '.join(search_params)}")


def _named(places: NDArray[np.int64], ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the ids of the rows at these places; -1 stays."""
    return np.where(places < 0, -1, ids.take(places, mode="clip")) if len(ids) else places


def _even_step(m: int, threads: int) -> int:
    """Return a number of queries a block, QUERY_BLOCK at most, at which all threads get as many blocks."""
    rounds = -(-m // (threads * QUERY_BLOCK))
    return max(1, -(-m // (threads * rounds)))


def _words(packed: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """View packed bits as 64-bit words, (n, ceil(bytes / 8)); the padding is zeros, equal everywhere."""
    n, width = packed.shape
    words = np.zeros((n, -(-width // 8) * 8), np.uint8)
    words[:, :width] = packed
    return words.view(np.uint64)
