"""What one thread needs to search an inverted file, bound once and used for every call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.batches import share
from algorithms.kernels.bundle import bundle
from algorithms.kernels.codes.scalar_quantizer import query_width
from algorithms.kernels.jit import read_only
from algorithms.kernels.lists import search as leaf_search
from algorithms.kernels.lists.coded_centroids import CodedCentroids, code_centroids
from algorithms.kernels.lists.inverted_file import MOST_BIAS, InvertedFile
from algorithms.kernels.lists.partition import padded_positions
from algorithms.kernels.lists.parts import Parts
from algorithms.kernels.lists.search import WORDS, capacity
from algorithms.kernels.select.selection import ROOM
from algorithms.kernels.simd.aligned import aligned_zeros
from harness.core.errors import ParameterError
from harness.engines.contract import Search, Vectors

# Of the candidates, so many at least are ranked by the rows: who asks for more candidates wants less lost.
_ROWS_SHARE = 1 / 3


class Effort(NamedTuple):
    """How far a search goes: leaves, candidates kept, whether they are ranked again, and by what.

    `by_rows` times k or more of those that codes have ranked are ranked by the rows; queries are scaled to `length`
    (0: not). `symmetric` ones are coded as rows are before they are compared with codes.
    """

    n_leaves: int
    keep: int
    again: bool
    by_rows: int
    length: float
    exact_inner: bool
    symmetric: bool = False


class Worker:
    """Answers queries with memory of its own: one thread's."""

    def __init__(self, index: InvertedFile, centroids: CodedCentroids, effort: Effort, dim: int, k: int) -> None:
        """Give `k` ids a query of `dim` dimensions."""
        quantizer, storage, leaves = index.quantizer, index.storage, index.leaves
        positions, block, words = index.codebooks.shape
        padded, n_leaves = padded_positions(positions, words), len(index.centroids)
        codebooks = np.zeros((padded * block, words), np.float32)
        codebooks[: positions * block] = index.codebooks.reshape(positions * block, words)
        basis, basis_scales = quantizer.coded_basis
        keep = max(effort.keep, index.copies * k)
        held = len(leaves.rows)
        keep = min(keep, max(held, 1))
        narrow = words == WORDS
        # Where codes of 8 bits can't tell rows apart, they can't tell how far a leaf is, either.
        exact_leaves = effort.symmetric or (storage.quantizer is None and storage.keep_exact)
        settings = (
            min(effort.n_leaves, n_leaves),
            n_leaves,
            keep,
            index.copies * max(k * effort.by_rows, round(_ROWS_SHARE * effort.keep)),
            quantizer.inner,
            effort.exact_inner,
            quantizer.dim,
            index.copies,
            effort.again,
            0,
            effort.symmetric,
        )
        scales = (
            effort.length,
            storage.low,
            quantizer.scale,
            index.bias_step,
            0.0 if effort.exact_inner else storage.bound_ratio,
            storage.bound_margin,
            MOST_BIAS * index.bias_step,
        )
        parts = Parts(
            centroids.codes,
            centroids.norms,
            centroids.factors,
            index.shifts,
            leaves.starts,
            leaves.sizes,
            leaves.rows,
            leaves.codes,
            leaves.biases,
            codebooks,
            np.sqrt(np.square(codebooks).reshape(padded, block, words).sum(axis=1)).max(axis=1),
            _means(index, padded * block) if exact_leaves else np.empty((0, 0), np.float32),
            index.ids,
            quantizer.mean,
            basis,
            basis_scales,
            np.empty(dim, np.float32),
            np.zeros(query_width(basis.shape[1]), np.int8),
            np.empty(len(basis), np.float32),
            np.zeros(query_width(quantizer.dim + 4), np.int8),
            np.array(settings, np.int64),
            np.array(scales, np.float64),
            np.empty(dim, np.float32),
            np.zeros(padded * block, np.float32),
            np.empty(padded, np.float32),
            aligned_zeros(padded if narrow else 0, words, np.uint8).reshape(-1),
            aligned_zeros(0 if narrow else padded, words, np.uint16).reshape(-1),
            *_pair(len(centroids.norms) + ROOM),
            np.empty(n_leaves, np.float64),
            *_pair(len(centroids.norms) + ROOM),
            *_pair(capacity(keep)),
            np.empty(keep, np.int64),
            np.empty(k, np.int64),
            np.zeros(3, np.int64),
        )
        self._rows = (storage.codes, storage.exact)
        self.counters: NDArray[np.int64] = parts.counters
        """Vectors scanned, ranked by codes, and ranked by rows so far: (3,) int64."""
        self._bundle = bundle(parts)
        self._search: Any = leaf_search.search

    def answer(self, queries: NDArray[np.float32], answers: NDArray[np.int64]) -> None:
        """Fill `answers` (m, k) with the ids found for `queries` (m, dim), read-only."""
        self._search(self._bundle.table, *self._rows, queries, answers)


def _means(index: InvertedFile, width: int) -> NDArray[np.float32]:
    """Return the centroids (leaves, width), zeros behind the last dimension."""
    means = np.zeros((len(index.centroids), width), np.float32)
    means[:, : index.centroids.shape[1]] = index.centroids
    return means


def _pair(length: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """Return two buffers."""
    return np.zeros(length, np.int32), np.zeros(length, np.int32)


def bind(index: InvertedFile, effort: Effort, dim: int, threads: int, workers: list[Worker], name: str) -> Search:
    """Return the search of an index over rows of `dim` dimensions; the workers that it makes are added to `workers`.

    `name` is the algorithm's, for the error where queries have other dimensions.
    """
    centroids = code_centroids(index.centroids, index.quantizer, by_direction=index.by_direction)
    by_k: dict[int, list[Worker]] = {}

    def search(queries: Vectors, k: int) -> NDArray[np.int64]:
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

    return search
