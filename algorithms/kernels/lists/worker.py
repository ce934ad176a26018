"""What one thread needs to search an inverted file, bound once and used for every call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.batches import share
from algorithms.kernels.bundle import bundle, record
from algorithms.kernels.codes.scalar_quantizer import make_encoder, query_width
from algorithms.kernels.jit import read_only
from algorithms.kernels.lists import search
from algorithms.kernels.lists.coded_centroids import CodedCentroids, code_centroids
from algorithms.kernels.lists.inverted_file import MAX_BIAS, InvertedFile
from algorithms.kernels.lists.partition import padded_positions
from algorithms.kernels.lists.parts import SETTINGS, Candidates, Index, Parts, Query, arrays_of
from algorithms.kernels.lists.search import WORDS
from algorithms.kernels.select.selection import ROOM
from algorithms.kernels.simd.aligned import aligned_zeros
from harness.core.errors import ParameterError
from harness.engines.contract import Search, Vectors

# Share of the candidates that is reranked by the rows at least: who keeps more candidates wants to lose fewer.
_ROWS_SHARE = 1 / 3


class Effort(NamedTuple):
    """How far a search goes.

    `n_lists` are searched, `keep` candidates kept, and if `rerank`, ranked again: by the codes of 8 bits, and at least
    `rerank_factor` times k of them by the rows. Queries are scaled to `length` (0: not). `exact_inner` ranks by the
    rows' inner products; `symmetric` codes queries as rows are before they are compared with codes.
    """

    n_lists: int
    keep: int
    rerank: bool
    rerank_factor: int
    length: float
    exact_inner: bool
    symmetric: bool = False


class Worker:
    """Answers queries with memory of its own: one thread's."""

    def __init__(self, index: InvertedFile, centroids: CodedCentroids, effort: Effort, dim: int, k: int) -> None:
        """Give `k` ids a query of `dim` dimensions."""
        storage, quantizer = index.storage, index.quantizer
        settings = _settings(index, effort, k)
        keep = int(settings["keep"][0])
        parts = Parts(
            lists=_index_arrays(index, centroids, effort),
            encoder=make_encoder(quantizer, dim, query_width(quantizer.dim + 4)),
            settings=settings,
            query=_query_buffers(index, dim),
            candidates=_candidate_buffers(len(index.centroids), len(centroids.norms), keep, k),
            counters=np.zeros(3, np.int64),
        )
        self._rows = (storage.codes, storage.exact)
        self.counters: NDArray[np.int64] = parts.counters
        """Vectors scanned, ranked by codes, and ranked by rows so far: (3,) int64."""
        self.parts = parts
        self._bundle = bundle(arrays_of(parts))
        self._search: Any = search.search

    def answer(self, queries: NDArray[np.float32], answers: NDArray[np.int64]) -> None:
        """Fill `answers` (m, k) with the ids found for `queries` (m, dim), read-only."""
        self._search(self._bundle.table, *self._rows, queries, answers)


def _settings(index: InvertedFile, effort: Effort, k: int) -> NDArray[Any]:
    """Return the record of `parts.SETTINGS` for searches of `k` neighbours."""
    storage, quantizer = index.storage, index.quantizer
    return record(
        SETTINGS,
        n_probe=min(effort.n_lists, len(index.centroids)),
        n_lists=len(index.centroids),
        dim=quantizer.dim,
        copies=index.copies,
        keep=min(max(effort.keep, index.copies * k), max(len(index.lists.rows), 1)),
        keep_for_rows=index.copies * max(k * effort.rerank_factor, round(_ROWS_SHARE * effort.keep)),
        length=effort.length,
        low=storage.low,
        code_scale=quantizer.scale,
        bias_step=index.bias_step,
        max_bias=MAX_BIAS * index.bias_step,
        bound_ratio=0.0 if effort.exact_inner else storage.bound_ratio,
        bound_margin=storage.bound_margin,
        inner=quantizer.inner,
        exact_inner=effort.exact_inner,
        rerank=effort.rerank,
        symmetric=effort.symmetric,
    )


def _index_arrays(index: InvertedFile, centroids: CodedCentroids, effort: Effort) -> Index:
    """Return the index as kernels take it, its codebooks padded to the positions that scans read."""
    positions, block, words = index.codebooks.shape
    padded = padded_positions(positions, words)
    codebooks = np.zeros((padded * block, words), np.float32)
    codebooks[: positions * block] = index.codebooks.reshape(positions * block, words)
    # Where codes of 8 bits can't tell rows apart, they can't tell how far a list is, either.
    exact_lists = effort.symmetric or (index.storage.quantizer is None and index.storage.keep_exact)
    return Index(
        centroids=centroids.codes,
        norms=centroids.norms,
        factors=centroids.factors,
        shifts=index.shifts,
        **index.lists._asdict(),
        codebooks=codebooks,
        radii=np.sqrt(np.square(codebooks).reshape(padded, block, words).sum(axis=1)).max(axis=1),
        means=_means(index, padded * block) if exact_lists else np.empty((0, 0), np.float32),
        ids=index.ids,
    )


def _query_buffers(index: InvertedFile, dim: int) -> Query:
    positions, block, words = index.codebooks.shape
    padded, narrow = padded_positions(positions, words), words == WORDS
    return Query(
        values=np.empty(dim, np.float32),
        point=np.zeros(padded * block, np.float32),
        bounds=np.empty(padded, np.float32),
        tables=aligned_zeros(padded if narrow else 0, words, np.uint8).reshape(-1),
        wide_tables=aligned_zeros(0 if narrow else padded, words, np.uint16).reshape(-1),
    )


def _candidate_buffers(n_lists: int, n_scored: int, keep: int, k: int) -> Candidates:
    """Return buffers for `n_lists` lists, `n_scored` of which are scored at once, and `keep` candidates."""

    def buffer(length: int) -> NDArray[np.int32]:
        return np.zeros(length, np.int32)

    return Candidates(
        list_scores=buffer(n_scored + ROOM),
        list_ids=buffer(n_scored + ROOM),
        list_offsets=np.empty(n_lists, np.float64),
        spare=buffer(n_scored + ROOM),
        spare_ids=buffer(n_scored + ROOM),
        scores=buffer(search.capacity(keep)),
        places=buffer(search.capacity(keep)),
        found=np.empty(keep, np.int64),
        best=np.empty(k, np.int64),
    )


def _means(index: InvertedFile, width: int) -> NDArray[np.float32]:
    """Return the centroids (lists, width), zeros behind the last dimension."""
    means = np.zeros((len(index.centroids), width), np.float32)
    means[:, : index.centroids.shape[1]] = index.centroids
    return means


def bind(index: InvertedFile, effort: Effort, dim: int, threads: int, workers: list[Worker], name: str) -> Search:
    """Return the search of an index over rows of `dim` dimensions; the workers that it makes are added to `workers`.

    `name` is the algorithm's, for the error where queries have other dimensions.
    """
    centroids = code_centroids(index.centroids, index.quantizer, by_direction=index.by_direction)
    by_k: dict[int, list[Worker]] = {}

    def bound(queries: Vectors, k: int) -> NDArray[np.int64]:
        if queries.ndim != 2 or queries.shape[1] != dim:
            raise ParameterError(f"{name}: queries of shape {queries.shape} given, but the index has dimension {dim}")
        m = len(queries)
        answers = np.empty((m, k), np.int64)
        if index.size == 0 or m == 0 or k == 0:
            answers[:] = -1
            return answers
        if k not in by_k:
            by_k[k] = [Worker(index, centroids, effort, dim, k) for _ in range(threads)]
            workers.extend(by_k[k])
        share(by_k[k], read_only(queries), answers)
        return answers

    return bound
