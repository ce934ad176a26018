"""What the kd-tree and the ball tree share beside their kernels: a plug-in that builds, searches, saves and loads."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.aligned import aligned_zeros
from algorithms.kernels.lanes import LANES
from algorithms.kernels.tree import Heap, Tree, home_leaves, search_tree
from algorithms.kernels.tree_build import PARTS, build
from harness.contract import Algorithm, Saves, Search, Vectors
from harness.errors import ParameterError
from harness.metric import Metric, normalise

ALL_LEAVES = 2**62


class TreeIndex(Algorithm, Saves):
    """A tree over reordered rows, searched by best bin first; a subclass says what its cells are.

    Under angular, rows and queries are scaled to length 1: |q - x|^2 = 2 (1 - cos). A row of zeros, whose cosine with
    everything is taken as 0, becomes a unit vector along an axis of its own.
    """

    name: ClassVar[str]
    kinds: ClassVar[Mapping[Metric, int]]

    def __init__(self, metric: Metric, *, leaf_size: int | str = "auto") -> None:
        self.metric = Metric(metric)
        if self.metric not in self.kinds:
            known = ", ".join(self.kinds)
            raise ParameterError(f"{self.name}: metric {self.metric} is not supported; use one of {known}")
        if leaf_size != "auto" and (not _is_whole(leaf_size) or int(leaf_size) < 1):
            raise ParameterError(f"{self.name}: leaf_size = {leaf_size!r}; use a whole number from 1 on, or 'auto'")
        self.leaf_size = leaf_size
        self._kind = self.kinds[self.metric]
        # What rows and queries are scaled to; 0: not at all.
        self._length = 1.0 if self.metric is Metric.ANGULAR else 0.0
        self._counts = np.zeros(2, np.int64)

    def compile(self, sample: Vectors) -> None:
        """Compile what a build and a search call: the kernels are the same for every metric."""
        warm = type(self)(self.metric, leaf_size=LANES)
        warm.fit(sample)
        search = warm.searcher()
        search(sample[:1], 1)
        search(sample[:2], 1)

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Build the tree over a reordered copy of `train` (n, dim)."""
        self._dim = train.shape[1]
        rows = train
        if self._length > 0.0:
            rows = normalise(train)
            nothing = ~rows.any(axis=1)
            if nothing.any():
                rows = np.column_stack([rows, nothing.astype(np.float32)])
        self._leaf_size = self._round(rows.shape[1])
        self.effective = {} if self._leaf_size == self.leaf_size else {"leaf_size": self._leaf_size}
        self._tree = build(self._kind, _read_only(rows), self._leaf_size, threads)

    def _round(self, dim: int) -> int:
        """Return the number of rows a leaf, a multiple of LANES."""
        wanted = self.default_leaf_size(dim) if self.leaf_size == "auto" else int(self.leaf_size)
        return -(-wanted // LANES) * LANES

    @staticmethod
    def default_leaf_size(dim: int) -> int:
        """Return the number of rows a leaf that serves data of `dim` dimensions well."""
        return 64 if dim <= 32 else 128

    def searcher(self, *, threads: int = 1, max_leaves: int | None = None) -> Search:  # type: ignore[override]
        """Bind the number of leaves that a search may look into; None is an exact search."""
        if max_leaves is not None and (not _is_whole(max_leaves) or max_leaves < 1):
            raise ParameterError(f"{self.name}: max_leaves = {max_leaves!r}; use at least 1, or None for exact search")
        tree, kind, length, dim = self._tree, self._kind, self._length, self._dim
        budget = ALL_LEAVES if max_leaves is None else int(max_leaves)
        self._counts = counts = np.zeros(2, np.int64)
        heap, home, only = self._heap(), np.zeros(1, np.int32), np.zeros(1, np.int64)

        def search(queries: Vectors, k: int) -> NDArray[np.int64]:
            queries = _read_only(queries)
            if queries.shape[1] != dim:
                raise ParameterError(f"{self.name}: queries of {queries.shape[1]} dimensions, but rows of {dim}")
            ids = np.empty((len(queries), k), np.int64)
            if k == 0:
                return ids
            if len(queries) == 1:
                home_leaves(tree, kind, length, queries, home)
                search_tree(tree, kind, length, queries, home, only, budget, heap, ids, counts)
            else:
                self._search_batch(queries, budget, threads, ids)
            return ids

        return search

    def _search_batch(self, queries: NDArray[np.float32], budget: int, threads: int, ids: NDArray[np.int64]) -> None:
        """Search queries in the order of the leaves that they start at, so that each finds its leaves in the cache."""
        tree, kind, length = self._tree, self._kind, self._length
        homes = np.empty(len(queries), np.int32)
        home_leaves(tree, kind, length, queries, homes)
        order = np.argsort(homes, kind="stable")
        if threads == 1:
            search_tree(tree, kind, length, queries, homes, order, budget, self._heap(), ids, self._counts)
            return

        def work(part: NDArray[np.int64]) -> NDArray[np.int64]:
            counts = np.zeros(2, np.int64)
            search_tree(tree, kind, length, queries, homes, part, budget, self._heap(), ids, counts)
            return counts

        with ThreadPoolExecutor(threads) as pool:
            for counts in pool.map(work, np.array_split(order, PARTS * threads)):
                self._counts += counts

    def _heap(self) -> Heap:
        nodes = max(1, int(self._tree.first[-1]))
        return Heap(np.empty(nodes, np.float32), np.empty(nodes, np.int32), np.empty(nodes, np.float32))

    def index_bytes(self) -> int:
        """Return the size of the tree's arrays, the rows among them."""
        return sum(array.nbytes for array in self._tree)

    def counters(self) -> Mapping[str, int]:
        """Return how many points were compared with queries, and how many nodes, leaves included, were visited."""
        return {"distance_computations": int(self._counts[0]), "nodes_visited": int(self._counts[1])}

    def save(self, path: Path) -> None:
        """Write the tree's arrays as an uncompressed `.npz`, at `path` exactly."""
        with path.open("xb") as file:
            np.savez(file, dim=self._dim, leaf_size=self._leaf_size, **self._tree._asdict())

    def load(self, path: Path) -> None:
        """Read the arrays that `save` wrote."""
        with np.load(path, allow_pickle=False) as arrays:
            first, near, far, points, order = (arrays[field] for field in Tree._fields)
            self._tree = Tree(first, _aligned(near), _aligned(far), _aligned(points), order)
            self._dim, self._leaf_size = int(arrays["dim"]), int(arrays["leaf_size"])


def _aligned(array: NDArray[np.float32]) -> NDArray[np.float32]:
    copy: NDArray[np.float32] = aligned_zeros(len(array), array.shape[1], np.float32)
    copy[:] = array
    return copy


def _is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _read_only(array: Any) -> NDArray[np.float32]:
    """View an array as read-only: numba compiles for read-only and for writable arrays apart, and one is enough."""
    view = np.ascontiguousarray(array, np.float32).view()
    view.flags.writeable = False
    return view
