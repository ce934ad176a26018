"""What one thread needs to answer queries, bound once and used for every call."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from algorithms.hnsw import query_kernels
from algorithms.hnsw.build import allocate_scratch
from algorithms.hnsw.copies import Groups
from algorithms.hnsw.kernels import Graph
from algorithms.hnsw.query_kernels import SETTINGS, Parts, arrays_of
from algorithms.kernels.bundle import bundle, record
from algorithms.kernels.codes.scalar_quantizer import make_encoder, query_width
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
        """Search with beam width `ef`, and give the first `k` as the answer."""
        quantizer, graph = storage.quantizer, nodes.graph
        room = storage.room(ef, k)
        parts = Parts(
            graph=graph,
            scratch=allocate_scratch(len(graph.ground), room, graph.upper.shape[1]),
            ids=nodes.groups.ids,
            starts=nodes.groups.starts,
            settings=record(
                SETTINGS,
                entry=nodes.entry,
                top=nodes.top,
                ef=ef,
                room=room,
                length=nodes.length,
                low=storage.low,
                code_scale=quantizer.scale if quantizer is not None else 1.0,
                bound_ratio=0.0 if exact_inner else storage.bound_ratio,
                bound_margin=storage.bound_margin,
                inner=storage.inner,
                exact_inner=exact_inner,
            ),
            query=np.empty(dim, np.float32),
            encoder=make_encoder(quantizer, dim, query_width(storage.codes.shape[1])),
            best=np.empty(k, np.int64),
        )
        self._rows = (storage.exact,) if quantizer is None else (storage.codes, storage.exact)
        self._search: Any = query_kernels.search_floats if quantizer is None else query_kernels.search_codes
        self.counters: NDArray[np.int64] = parts.scratch.counters
        """The distances and hops counted so far: (2,) int64."""
        self._bundle = bundle(arrays_of(parts))

    def answer(self, queries: NDArray[np.float32], answers: NDArray[np.int64]) -> None:
        """Fill `answers` (m, k) with the ids found for `queries` (m, dim), read-only."""
        self._search(self._bundle.table, *self._rows, queries, answers)
