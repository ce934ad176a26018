"""HNSW: a hierarchy of proximity graphs, searched greedily from the sparsest layer down.

Nodes are inserted in a random order, so that sorted data make no bad graph, and renumbered at the end. Under angular,
rows are scaled to length 1 and compared by euclidean distance, which orders alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from algorithms.hnsw import kernels
from algorithms.hnsw.build import Builder
from algorithms.hnsw.copies import Groups, group_copies
from algorithms.hnsw.graph import allocate_graph, check_graph, draw_levels, enlarge_graph, links, renumber
from algorithms.hnsw.kernels import Graph
from algorithms.hnsw.ranges import growing
from algorithms.hnsw.search import Nodes, Worker
from algorithms.kernels.batches import share
from algorithms.kernels.codes.scaling import length_limit, typical_length
from algorithms.kernels.codes.storage import Storage
from algorithms.kernels.jit import read_only
from algorithms.kernels.parameters import check_choice, check_components, check_flag, check_seed, check_whole, whole
from algorithms.kernels.saved import Arrays, Saved, SavedIndex, named, part_of
from harness.core.errors import ParameterError
from harness.data.metric import Metric, normalise
from harness.engines.contract import Grows, Ranges, RangeSearch, Search, Vectors

_STORAGES = ("sq8", "float32")
# A key has 31 bits for the node.
MAX_ROWS = 2**31 - 1
# Rows may be added before layer 0 is connected again, one for so many: to walk over all links takes its time.
_LOOSE_SHARE = 100


class HNSW(SavedIndex, Grows, Ranges):
    """Hierarchical navigable small worlds (Malkov & Yashunin 2018), under euclidean, angular and ip.

    `M` links a node and layer (twice as many on the ground), chosen among the `ef_construction` nearest found.
    `storage` is what searches compute distances on: "float32" rows, or "sq8", one byte a dimension, of the first
    `n_components` principal components ("auto": the fewest by which neighbours are found; None: no rotation). With
    `rerank` the rows themselves are kept beside the codes, and rank again what a search has found; without, the codes
    alone are kept. Data whose neighbours codes can't tell apart are held as float32 all the same; `effective` says so.
    One `seed` gives one index, whatever the number of threads.
    """

    name = "hnsw"

    def __init__(
        self,
        metric: Metric,
        *,
        M: int = 16,
        ef_construction: int = 200,
        storage: str = "sq8",
        rerank: bool = True,
        n_components: int | str | None = "auto",
        seed: int = 0,
    ) -> None:
        self._metric = Metric(metric)
        if not self._metric.is_dense:
            raise ParameterError(f"hnsw: metric {metric} is not supported; use euclidean, angular or ip")
        check_whole("hnsw", "M", M, 2, "so that nodes have links, usually 8 to 64")
        check_whole("hnsw", "ef_construction", ef_construction, 1, "usually 100 to 500")
        check_choice("hnsw", "storage", storage, _STORAGES)
        check_flag("hnsw", "rerank", rerank)
        check_components("hnsw", n_components)
        check_seed("hnsw", seed)
        self._M, self._ef_construction, self._seed = int(M), int(ef_construction), int(seed)
        self._wanted, self._rerank = storage, rerank
        self._n_components = whole(n_components)
        self._workers: list[Worker] = []
        self.effective: dict[str, Any] = {}

    def compile(self, sample: Vectors) -> None:
        """Compile all kernels that building and searching rows like the sample call."""
        warm = HNSW(self._metric, M=self._M, storage=self._wanted, rerank=self._rerank, n_components=self._n_components)
        warm.fit(sample)
        warm.searcher()(sample[:1], 1)

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Build over `train` (n, dim) float32. Raises ParameterError where there are too many rows."""
        n, self._dim = train.shape
        if n > MAX_ROWS:
            raise ParameterError(f"hnsw holds at most {MAX_ROWS} rows, not {n}; split the data")
        rows, groups = group_copies(self._rows(train))
        # Rows of zeros, which angular puts at distance 1 from all, are in place under inner products only.
        self._zeros = self._metric is Metric.ANGULAR and not rows.any(axis=1).all()
        self._storage = Storage.choose(
            rows,
            self._wanted,
            self._n_components,
            rerank=self._rerank,
            inner=self._metric is Metric.IP or self._zeros,
        )
        # Queries as long as the rows: codes have no room for longer ones.
        self._length = 0.0 if self._metric is Metric.EUCLIDEAN else typical_length(rows)
        self._n, self._loose, self._workers = len(rows), 0, []
        in_force = {"storage": self._storage.kind, "n_components": self._storage.n_components}
        wanted = {"storage": self._wanted, "n_components": self._n_components}
        if self._storage.kind == "float32":
            del in_force["n_components"]
        self.effective = {name: value for name, value in in_force.items() if value != wanted[name]}
        self.effective |= length_limit(rows, centred=self._metric is Metric.EUCLIDEAN)
        rng, n = np.random.default_rng(self._seed), self._n
        order = rng.permutation(n).astype(np.int32)
        levels = draw_levels(rng, n, self._M)
        self._graph, self._entry, self._top = allocate_graph(levels, self._M), 0, int(levels[0]) if n else 0
        shuffled = rows[order]
        coarse, fine = self._storage.encode(shuffled)
        if n:
            builder = Builder(
                coarse, fine, self._graph, levels, self._M, self._ef_construction, inner=self._storage.inner
            )
            self._entry, self._top = builder.insert(self._entry, self._top, 1, n, threads)
            builder.connect(self._entry, self._top, n)
        places = np.empty(n, np.int32)
        if n:
            kernels.breadth_first(self._graph.ground, self._entry, n, places)
            self._graph, self._entry = renumber(self._graph, places), 0  # the walk began at the entry point
        self._storage.keep(shuffled, coarse, places)
        self._groups = groups.of(order[places])

    def add(self, vectors: Vectors, *, threads: int = 1) -> None:
        """Insert `vectors` (m, dim) float32 in the order given; their ids go on from the highest.

        Raises ParameterError where the dimension differs.
        """
        if self._n == 0:
            self.fit(vectors, threads=threads)
            return
        _check_dim(vectors, self._dim)
        n = self._n
        rows, groups = group_copies(self._rows(vectors))
        m = len(rows)
        self._zeros |= self._metric is Metric.ANGULAR and not rows.any(axis=1).all()
        self._storage.append(rows, n)
        levels = np.zeros(n + m, np.int32)
        levels[n:] = draw_levels(np.random.default_rng([self._seed, n]), m, self._M)
        self._graph = enlarge_graph(self._graph, n, levels, self._M)
        coarse, fine = self._storage.building_rows(n + m)
        builder = Builder(coarse, fine, self._graph, levels, self._M, self._ef_construction, inner=self._storage.inner)
        self._entry, self._top = builder.insert(self._entry, self._top, n, n + m, threads)
        self._loose += m
        if self._loose * _LOOSE_SHARE >= n + m:
            builder.connect(self._entry, self._top, n + m)
            self._loose = 0
        self._groups = self._groups.followed_by(groups, n)
        self._n, self._workers = n + m, []

    def searcher(self, *, threads: int = 1, ef: int = 50, upper_layers: bool = True) -> Search:  # type: ignore[override]
        """Bind `ef`, how many candidates a search expands: at least 1, raised to k where k is greater.

        `upper_layers=False` starts on the ground layer, at the entry point. `threads` serve batches. What is bound
        searches the index as it is now: bind again after `fit`, `add` and `load`.
        """
        check_whole("hnsw", "ef", ef, 1, "usually k to 500")
        check_flag("hnsw", "upper_layers", upper_layers)
        self._workers = []
        top = self._top if upper_layers else 0
        inner = self._metric is Metric.IP or self._zeros
        ef = int(ef)
        nodes = Nodes(self._graph, self._groups, self._entry, top, self._length)
        storage, dim, empty = self._storage, self._dim, self._n == 0
        workers: dict[int, list[Worker]] = {}

        def search(queries: Vectors, k: int) -> NDArray[np.int64]:
            _check_dim(queries, dim)
            m = len(queries)
            answers = np.empty((m, k), np.int64)
            if empty or m == 0 or k == 0:
                answers[:] = -1
                return answers
            if k not in workers:
                workers[k] = [Worker(nodes, storage, dim, max(ef, k), k, exact_inner=inner) for _ in range(threads)]
                self._workers += workers[k]
            share(workers[k], read_only(queries), answers)
            return answers

        return search

    def range_searcher(self, *, threads: int = 1, ef: int = 50, upper_layers: bool = True) -> RangeSearch:  # type: ignore[override]
        """Bind `ef`: the first search of a query asks for so many neighbours, and each next one for four times as many.

        Raises ParameterError for an index of codes alone, which can't tell the distance of a row.
        """
        rows = self._storage.floats(self._n)
        if len(rows) < self._n:
            raise ParameterError("hnsw: range search needs the rows themselves; build with rerank=True")
        ids, starts = self._groups.trimmed(self._n)
        counts = np.diff(starts) if len(starts) else np.ones(self._n, np.int64)
        node_of = np.empty(len(ids), np.int64)
        node_of[ids] = np.repeat(np.arange(self._n), counts)
        search = self.searcher(threads=threads, ef=ef, upper_layers=upper_layers)
        return growing(search, self._metric, rows, node_of, int(ef))

    def index_bytes(self) -> int:
        """Return the size of links, ids, and all rows that are kept."""
        ground, upper, upper_row = self._graph
        graph = sum(int(array[: self._n].nbytes) for array in (ground, upper_row)) + int(upper.nbytes)
        graph += sum(int(array.nbytes) for array in self._groups.trimmed(self._n))
        return graph + self._storage.bytes(self._n)

    def counters(self) -> Mapping[str, int]:
        """Return the distance computations and hops (nodes expanded) since the last bind, ranking again not counted."""
        totals = sum((worker.counters for worker in self._workers), np.zeros(2, np.int64))
        return {"distance_computations": int(totals[0]), "hops": int(totals[1])}

    def graph(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Return the links of layer 0 as sparse rows (indptr (n + 1,), indices), nodes named by their ids."""
        return links(self._graph, *self._groups.trimmed(self._n))

    def _parameters(self) -> dict[str, Any]:
        return {
            "M": self._M,
            "ef_construction": self._ef_construction,
            "storage": self._wanted,
            "rerank": self._rerank,
            "n_components": self._n_components,
            "seed": self._seed,
        }

    def _state(self) -> dict[str, Any]:
        return {
            "n": self._n,
            "loose": self._loose,
            "entry": self._entry,
            "top": self._top,
            "length": self._length,
            "zeros": bool(self._zeros),
            "storage": self._storage.facts(),
        }

    def _arrays(self) -> Arrays:
        n = self._n
        graph = self._graph._replace(ground=self._graph.ground[:n], upper_row=self._graph.upper_row[:n])
        return {
            **named("graph", graph._asdict()),
            **named("groups", self._groups.trimmed(n)._asdict()),
            **named("storage", self._storage.arrays(n)),
        }

    def _restore(self, saved: Saved) -> None:
        state = saved.state
        self._n, self._loose = state.integer("n", most=MAX_ROWS), state.integer("loose")
        self._entry, self._top = state.integer("entry"), state.integer("top")
        self._length, self._zeros = state.number("length"), state.flag("zeros")
        self._graph = Graph(**part_of(saved.arrays, "graph"))
        check_graph(self._graph, self._n, self._M, self._entry, self._top)
        self._groups = Groups(**part_of(saved.arrays, "groups"))
        self._groups.check(self._n)
        self._storage = Storage.restore(state.part("storage"), part_of(saved.arrays, "storage"))
        self._storage.check(self._n, saved.dim)

    def _rows(self, vectors: Vectors) -> NDArray[np.float32]:
        """Return what is indexed: the vectors, under angular scaled to length 1."""
        return normalise(vectors) if self._metric is Metric.ANGULAR else vectors


def _check_dim(vectors: Vectors, dim: int) -> None:
    if vectors.ndim != 2 or vectors.shape[1] != dim:
        raise ParameterError(f"hnsw: vectors of shape {vectors.shape} given, but the index has dimension {dim}")
