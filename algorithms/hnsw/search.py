"""What one thread needs to answer queries, bound once and used for every call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.hnsw import kernels
from algorithms.hnsw.build import allocate_query, allocate_scratch
from algorithms.hnsw.kernels import Graph
from algorithms.hnsw.storage import Storage


class Nodes(NamedTuple):
    """The graph, the ids of its nodes, where a search enters, and the length that queries are scaled to (0: not)."""

    graph: Graph
    ids: NDArray[np.int32]
    entry: int
    top: int
    length: float


class Worker:
    """Answers queries with memory of its own: one thread's."""

    def __init__(self, nodes: Nodes, storage: Storage, dim: int, ef: int, k: int, *, exact_inner: bool) -> None:
        """Keep at most `ef` candidates a search, and give the first `k` as the answer."""
        M = nodes.graph.upper.shape[1]
        self._scratch = allocate_scratch(len(nodes.ids), ef, k, M)
        self._ef = ef
        query = np.empty(dim, np.float32)
        self._fixed: tuple[Any, ...]
        self._search: Any
        if storage.quantizer is None:
            self._fixed = (storage.exact, storage.inner, *nodes)
            self._buffers: tuple[Any, ...] = (query,)
            self._search = kernels.search_floats
        else:
            quantizer = storage.quantizer
            self._fixed = (
                *(storage.codes, storage.inner, storage.exact, exact_inner, storage.low),
                *(quantizer.mean, quantizer.basis, quantizer.scale),
                *nodes,
            )
            self._buffers = (query, np.empty_like(query), allocate_query(storage.codes))
            self._search = kernels.search_codes

    @property
    def counters(self) -> NDArray[np.int64]:
        """The distances and hops counted so far: (2,) int64."""
        counters: NDArray[np.int64] = self._scratch.counters
        return counters

    def answer(self, queries: NDArray[np.float32], answers: NDArray[np.int64]) -> None:
        """Fill `answers` (m, k) with the ids found for `queries` (m, dim), read-only."""
        self._search(*self._fixed, queries, self._ef, *self._buffers, self._scratch, answers)
