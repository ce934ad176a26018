"""Building the graph in batches: parallel, and the same for every number of threads.

All nodes of a batch search the graph as it was before (Manohar et al. 2024, ParlayANN, PPoPP), so that nothing depends
on who comes first. Unlike there, nodes of one batch also meet, by comparing all with all: without it, the graph that is
built in batches finds less at the same `ef` than one that is built node by node.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue
from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.hnsw import build_kernels, connect_kernels
from algorithms.hnsw.build_kernels import ROW, Insertion, Workbench
from algorithms.hnsw.kernels import Graph, Scratch
from algorithms.kernels.codes.scalar_quantizer import query_width

# Comparing a node with all others of its batch costs a few hundredths of its search at this size.
_BATCH = 512
# Nodes a thread takes at a time: few, so that none waits long for the last.
_TASK = 16
# Rows of links a thread takes at a time.
_LINKS_TASK = 256
# Links that make room for one node may cut off another.
_ROUNDS = 3


def allocate_query(rows: NDArray[Any]) -> NDArray[Any]:
    """Return zeros that hold one of the rows as a query: float32, or the int8 codes that go with uint8."""
    if rows.dtype == np.uint8:
        return np.zeros(query_width(rows.shape[1]), np.int8)
    return np.zeros(rows.shape[1], np.float32)


def allocate_scratch(n: int, room: int, M: int) -> Scratch:
    """Return what one thread's searches of `n` nodes need, with `room` for as many candidates."""
    return Scratch(
        np.empty(room, np.int64),
        np.zeros(n + 1, np.uint8),
        np.empty(2 * M, np.int32),
        np.zeros(2, np.int64),
    )


def _allocate_work(coarse: NDArray[Any], fine: NDArray[Any], M: int) -> Workbench:
    query = allocate_query(fine)
    return Workbench(
        allocate_query(coarse),
        query,
        np.empty(2 * M, np.int64),
        np.zeros((2 * M, len(query)), query.dtype),
        np.zeros(2 * M, np.int64),
        np.empty(2 * M + _BATCH, np.int64),
    )


@contextmanager
def _borrowed(spare: SimpleQueue[Any]) -> Iterator[Any]:
    """Take one of the spare tools, and give it back whatever happens: others wait for it."""
    tools = spare.get()
    try:
        yield tools
    finally:
        spare.put(tools)


class Builder:
    """Inserts nodes into a graph whose arrays have room for them."""

    def __init__(
        self,
        coarse: NDArray[Any],
        fine: NDArray[Any],
        graph: Graph,
        levels: NDArray[np.int32],
        M: int,
        ef_construction: int,
        *,
        inner: bool,
    ) -> None:
        """Searches use the rows `coarse`, choices of neighbours the rows `fine`; they may be the same array."""
        self._coarse, self._fine, self._graph, self._levels = coarse, fine, graph, levels
        self._M, self._ef = M, ef_construction
        self._rotated, self._inner = coarse is not fine, inner
        self.counters = np.zeros(2, np.int64)

    def insert(self, entry: int, top: int, first: int, stop: int, threads: int) -> tuple[int, int]:
        """Insert nodes first..stop - 1 into the graph of those before; return the new entry point and top layer."""
        spare: SimpleQueue[tuple[Scratch, Workbench]] = SimpleQueue()
        for _ in range(threads):
            spare.put(
                (
                    allocate_scratch(len(self._coarse), self._ef, self._M),
                    _allocate_work(self._coarse, self._fine, self._M),
                )
            )
        with ThreadPoolExecutor(threads) as pool:
            while first < stop:
                size = min(max(first, 1), _BATCH, stop - first)
                self._insert_batch(entry, top, first, first + size, pool, spare)
                highest = first + int(np.argmax(self._levels[first : first + size]))
                if self._levels[highest] > top:
                    entry, top = highest, int(self._levels[highest])
                first += size
        while not spare.empty():
            self.counters += spare.get()[0].counters
        return entry, top

    def connect(self, entry: int, top: int, n: int) -> None:
        """Add links between the first n nodes, until each can be reached from every other on layer 0."""
        scratch = allocate_scratch(len(self._coarse), self._ef, self._M)
        query = allocate_query(self._coarse)
        for _ in range(_ROUNDS):
            if not connect_kernels.connect(self._coarse, self._inner, self._graph, entry, top, n, query, scratch):
                break
        self.counters += scratch.counters

    def _insert_batch(
        self, entry: int, top: int, first: int, stop: int, pool: ThreadPoolExecutor, spare: SimpleQueue[Any]
    ) -> None:
        task = Insertion(
            coarse=self._coarse,
            fine=self._fine,
            rotated=self._rotated,
            inner=self._inner,
            graph=self._graph,
            levels=self._levels,
            entry=entry,
            top=top,
            first=first,
            stop=stop,
            M=self._M,
            ef_construction=self._ef,
        )

        def insert(start: int) -> NDArray[np.int64]:
            end = min(start + _TASK, stop)
            edges = np.empty((int(self._levels[start:end].sum() + end - start) * self._M, 4), np.int64)
            with _borrowed(spare) as (scratch, work):
                made = build_kernels.insert(task, start, end, scratch, work, edges)
            return edges[:made]

        def link_back(edges: NDArray[np.int64]) -> None:
            with _borrowed(spare) as (scratch, work):
                build_kernels.link_back(self._fine, self._inner, self._graph, edges, scratch, work)

        edges = np.concatenate(list(pool.map(insert, range(first, stop, _TASK))))
        edges = edges[np.argsort(edges[:, ROW], kind="stable")]
        # Cut only where a new row begins.
        cuts = np.flatnonzero(np.diff(edges[:, ROW])) + 1
        list(pool.map(link_back, np.split(edges, cuts[_LINKS_TASK - 1 :: _LINKS_TASK])))
