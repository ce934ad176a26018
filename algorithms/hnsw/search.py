"""What one thread needs to answer queries, bound once and used for every call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.hnsw import query_kernels
from algorithms.hnsw.build import allocate_query, allocate_scratch
from algorithms.hnsw.copies import Groups
from algorithms.hnsw.kernels import Graph
from algorithms.hnsw.query_kernels import Parts
from algorithms.kernels.bundle import bundle
from algorithms.kernels.codes.scalar_quantizer import query_width
from algorithms.kernels.codes.storage import Storage


class Nodes(NamedTuple):
    """The graph, the ids of its nodes, the entry point, and the length that queries are scaled to (0: not)."""

    graph: Graph
    groups: Groups
    entry: int
    top: int
    length: float


class Worker:
    """Answers queries with memory of its own: one thread's."""

    def __init__(self, nodes: Nodes, storage: Storage, dim: int, ef: int, k: int, *, exact_inner: bool) -> None:
        """Expand `ef` candidates a search, and give the first `k` as the answer."""
        quantizer, none = storage.quantizer, np.empty(0, np.float32)
        room = storage.room(ef, k)
        basis, basis_scales = np.empty((0, 0), np.uint8), none
        if quantizer is not None:
            basis, basis_scales = quantizer.coded_basis
        scratch = allocate_scratch(len(nodes.graph.ground), room, nodes.graph.upper.shape[1])
        settings = (nodes.entry, nodes.top, ef, room, storage.inner, exact_inner)
        scale = quantizer.scale if quantizer is not None else 1.0
        factors = (nodes.length, storage.low, scale, 0.0 if exact_inner else storage.bound_ratio, storage.bound_margin)
        parts = Parts(
            *nodes.graph,
            *scratch,
            *nodes.groups,
            np.array(settings, np.int64),
            np.array(factors, np.float64),
            np.empty(dim, np.float32),
            quantizer.mean if quantizer is not None else none,
            basis,
            basis_scales,
            np.empty(dim, np.float32),
            np.zeros(query_width(basis.shape[1]), np.int8),
            np.empty(len(basis), np.float32),
            allocate_query(storage.codes) if quantizer is not None else np.empty(0, np.int8),
            np.empty(k, np.int64),
        )
        self._rows = (storage.exact,) if quantizer is None else (storage.codes, storage.exact)
        self._search: Any = query_kernels.search_floats if quantizer is None else query_kernels.search_codes
        self.counters: NDArray[np.int64] = parts.counters
        """The distances and hops counted so far: (2,) int64."""
        self._bundle = bundle(parts)

    def answer(self, queries: NDArray[np.float32], answers: NDArray[np.int64]) -> None:
        """Fill `answers` (m, k) with the ids found for `queries` (m, dim), read-only."""
        self._search(self._bundle.table, *self._rows, queries, answers)
