"""What the kd-tree and the ball tree share beside their kernels: a plug-in that builds, searches, saves and loads."""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from algorithms.kernels.bundle import Bundle, bundle
from algorithms.kernels.jit import read_only
from algorithms.kernels.parameters import check_whole, is_auto
from algorithms.kernels.saved import Arrays, Saved, SavedIndex, check_array, check_permutation
from algorithms.kernels.simd.aligned import aligned_zeros
from algorithms.kernels.simd.lanes import LANES
from algorithms.kernels.trees.build import PARTS, build, shape_of
from algorithms.kernels.trees.tree import BOX, Tree, Walk, home_leaves, search_tree
from algorithms.kernels.trees.within import search_within
from harness.core.errors import ParameterError
from harness.data.metric import Metric, normalise
from harness.engines.contract import Ranges, RangeSearch, Search, Vectors

ALL_LEAVES = 2**62
# A row at the radius itself must count, whatever float32 makes of it.
_NEARLY = 1e-6


class TreeIndex(SavedIndex, Ranges):
    """A tree over reordered rows, searched by best bin first; a subclass says what its cells are.

    Under angular, rows and queries are scaled to length 1: |q - x|^2 = 2 (1 - cos). A row of zeros, whose cosine with
    everything is taken as 0, becomes a unit vector along an axis of its own.
    """

    kinds: ClassVar[Mapping[Metric, int]]

    def __init__(self, metric: Metric, *, leaf_size: int | str = "auto") -> None:
        self._metric = Metric(metric)
        if self._metric not in self.kinds:
            known = ", ".join(self.kinds)
            raise ParameterError(f"{self.name}: metric {self._metric} is not supported; use one of {known}")
        if not is_auto(leaf_size):
            check_whole(self.name, "leaf_size", leaf_size, 1, "usually 32 to 256, or auto")
        self._wanted_size = leaf_size
        self._kind = self.kinds[self._metric]
        # What rows and queries are scaled to; 0: not at all.
        self._length = 1.0 if self._metric is Metric.ANGULAR else 0.0
        self._walks: list[Walk] = []
        self.effective: dict[str, Any] = {}

    def compile(self, sample: Vectors) -> None:
        """Compile what a build and a search call: the kernels are the same for every metric."""
        warm = type(self)(self._metric, leaf_size=LANES)
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
        self.effective = {} if self._leaf_size == self._wanted_size else {"leaf_size": self._leaf_size}
        self._tree = build(self._kind, read_only(rows), self._leaf_size, threads)

    def _round(self, dim: int) -> int:
        """Return the number of rows a leaf, a multiple of LANES."""
        wanted = self.default_leaf_size(dim) if self._wanted_size == "auto" else int(self._wanted_size)
        return -(-wanted // LANES) * LANES

    @staticmethod
    def default_leaf_size(dim: int) -> int:
        """Return the number of rows a leaf that serves data of `dim` dimensions well."""
        return 64 if dim <= 32 else 128

    def searcher(self, *, threads: int = 1, max_leaves: int | None = None) -> Search:  # type: ignore[override]
        """Bind the number of leaves that a search may look into; None is an exact search."""
        if max_leaves is not None:
            check_whole(self.name, "max_leaves", max_leaves, 1, "or null for exact search")
        kind, length, dim = self._kind, self._length, self._dim
        budget = ALL_LEAVES if max_leaves is None else int(max_leaves)
        self._walks = [self._walk() for _ in range(threads)]
        bundles = [bundle((*self._tree, *walk)) for walk in self._walks]
        only, alone, empty = np.zeros(1, np.int64), bundles[0], len(self._tree.order) == 0

        def search(queries: Vectors, k: int) -> NDArray[np.int64]:
            queries = read_only(queries)
            if queries.shape[1] != dim:
                raise ParameterError(f"{self.name}: queries of {queries.shape[1]} dimensions, but rows of {dim}")
            ids = np.empty((len(queries), k), np.int64)
            if k == 0 or empty:
                ids[:] = -1
            elif len(queries) == 1:
                search_tree(alone.table, kind, length, queries, only, budget, ids)
            else:
                self._search_batch(bundles, queries, budget, ids)
            return ids

        return search

    def range_searcher(self, *, threads: int = 1, max_leaves: int | None = None) -> RangeSearch:  # type: ignore[override]
        """Bind the number of leaves that a search may look into; None finds all rows within the radius.

        Rows within a millionth of the radius may count either way: squared distances are float32.
        """
        self.searcher(threads=threads, max_leaves=max_leaves)  # checks the parameters and makes the walks
        kind, length, dim, order = self._kind, self._length, self._dim, self._tree.order
        budget = ALL_LEAVES if max_leaves is None else int(max_leaves)
        bundles = [bundle((*self._tree, *walk)) for walk in self._walks]

        def one_by_one(queries: NDArray[np.float32], limit: np.float32, by: Bundle) -> list[NDArray[np.int32]]:
            found = np.empty(len(order), np.int32)

            def one(query: NDArray[np.float32]) -> NDArray[np.int32]:
                return found[: search_within(by.table, kind, length, query, limit, budget, found)].copy()

            return [one(query) for query in queries]

        def search(queries: Vectors, radius: float) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
            queries = read_only(queries)
            if queries.shape[1] != dim:
                raise ParameterError(f"{self.name}: queries of {queries.shape[1]} dimensions, but rows of {dim}")
            limit = self._limit(radius)
            if len(order) == 0 or limit is None:
                return np.zeros(len(queries) + 1, np.int64), np.empty(0, np.int32)
            parts = np.array_split(queries, min(len(bundles), len(queries)))
            if len(parts) == 1:
                rows = one_by_one(queries, limit, bundles[0])
            else:
                with ThreadPoolExecutor(len(parts)) as pool:
                    several = pool.map(one_by_one, parts, [limit] * len(parts), bundles)
                    rows = [row for part in several for row in part]
            indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
            return indptr, np.concatenate(rows)

        return search

    def _limit(self, radius: float) -> np.float32 | None:
        """Return what the kernel compares with, just above the radius; None where nothing can lie within it."""
        if self._metric is Metric.IP:
            return np.float32(radius + _NEARLY * max(abs(radius), _NEARLY))
        if radius < 0:
            return None
        squared = radius * radius if self._metric is Metric.EUCLIDEAN else 2.0 * radius
        return np.float32(squared * (1.0 + 2 * _NEARLY) + _NEARLY**2)

    def _search_batch(
        self, bundles: list[Bundle], queries: NDArray[np.float32], budget: int, ids: NDArray[np.int64]
    ) -> None:
        """Search queries in the order of the leaves that they start at, so that each finds its leaves in the cache."""
        kind, length = self._kind, self._length
        homes = np.empty(len(queries), np.int32)
        home_leaves(bundles[0].table, kind, length, queries, homes)
        order = np.argsort(homes, kind="stable")
        if len(bundles) == 1:
            search_tree(bundles[0].table, kind, length, queries, order, budget, ids)
            return
        spare: SimpleQueue[Bundle] = SimpleQueue()
        for one in bundles:
            spare.put(one)

        def work(part: NDArray[np.int64]) -> None:
            one = spare.get()
            try:
                search_tree(one.table, kind, length, queries, part, budget, ids)
            finally:
                spare.put(one)

        with ThreadPoolExecutor(len(bundles)) as pool:
            list(pool.map(work, np.array_split(order, PARTS * len(bundles))))

    def _walk(self) -> Walk:
        nodes, dim = max(1, int(self._tree.first[-1])), self._tree.points.shape[1] // LANES
        # A node's children are at least half as many as LANES: the root's may be two.
        levels = 2 + int(np.log(nodes) / np.log(LANES / 2))
        return Walk(
            np.empty(nodes, np.float32),
            np.empty(nodes, np.int32),
            np.empty(nodes, np.float32),
            np.empty(levels, np.int32),
            np.empty(levels * LANES, np.float32),
            np.empty(levels * LANES, np.float32),
            # Rows may have one dimension more than queries, in which those are 0.
            np.zeros(dim, np.float32),
            np.empty(2 * LANES, np.float32),
            np.zeros(2, np.int64),
        )

    def index_bytes(self) -> int:
        """Return the size of the tree's arrays, the rows among them."""
        return sum(array.nbytes for array in self._tree)

    def counters(self) -> Mapping[str, int]:
        """Return how many points were compared with queries, and how many nodes, leaves included, were visited."""
        points, nodes = sum((walk.counts for walk in self._walks), np.zeros(2, np.int64))
        return {"distance_computations": int(points), "nodes_visited": int(nodes)}

    def _parameters(self) -> dict[str, Any]:
        return {"leaf_size": self._wanted_size}

    def _state(self) -> dict[str, Any]:
        return {"n": len(self._tree.order), "leaf_size": self._leaf_size}

    def _arrays(self) -> Arrays:
        return self._tree._asdict()

    def _restore(self, saved: Saved) -> None:
        tree = Tree(**saved.arrays)
        self._leaf_size = saved.state.integer("leaf_size", LANES)
        width = tree.points.shape[1]
        if width not in (saved.dim * LANES, (saved.dim + (self._length > 0.0)) * LANES):
            raise ValueError(f"its rows have dimension {width // LANES}, not {saved.dim}")
        n = saved.state.integer("n", most=2**31 - 1)
        first = shape_of(n, self._leaf_size).first
        inner, groups = len(first) - 1, self._leaf_size // LANES
        if not np.array_equal(tree.first, first) or self._leaf_size % LANES:
            raise ValueError(f"its nodes are not those of a tree over {n} rows")
        check_array("first", tree.first, np.int32, (inner + 1,))
        check_permutation("order", tree.order, n)
        check_array("near", tree.near, np.float32, (inner, width))
        check_array("far", tree.far, np.float32, (inner, width if self._kind == BOX else LANES))
        check_array("points", tree.points, np.float32, ((int(first[-1]) - inner) * groups, width))
        self._tree = tree._replace(near=_aligned(tree.near), far=_aligned(tree.far), points=_aligned(tree.points))


def _aligned(array: NDArray[np.float32]) -> NDArray[np.float32]:
    copy: NDArray[np.float32] = aligned_zeros(len(array), array.shape[1], np.float32)
    copy[:] = array
    return copy
