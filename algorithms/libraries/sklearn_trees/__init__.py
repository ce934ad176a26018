"""scikit-learn's exact trees: branch and bound over a kd-tree (Bentley 1975) or a ball tree (Omohundro 1989)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn import neighbors

from harness.core.errors import ParameterError
from harness.data.metric import Metric, normalise
from harness.engines.contract import Algorithm, Ranges, RangeSearch, Search, Vectors

# A row at the radius itself must count, whatever rounding makes of it.
_ROUNDING = 1e-9

_METRICS = (Metric.EUCLIDEAN, Metric.ANGULAR)


class _Tree(Algorithm, Ranges):
    """What both trees share; a subclass names the library's class."""

    tree: Any

    def __init__(self, metric: Metric, *, leaf_size: int = 40) -> None:
        self.metric = Metric(metric)
        if self.metric not in _METRICS:
            raise ParameterError(
                f"scikit-learn trees: metric {metric} is not supported; use one of {', '.join(_METRICS)}"
            )
        if leaf_size < 1:
            raise ParameterError(f"scikit-learn trees: leaf_size = {leaf_size}; use at least 1, usually 10 to 100")
        self.leaf_size = leaf_size

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Build the tree over a float64 copy of the rows, on one thread."""
        del threads
        # Among unit vectors |q - x|^2 = |q|^2 + 1 - 2 q.x ranks as the angle does, whatever the query's norm.
        self._tree = self.tree(normalise(train) if self.metric is Metric.ANGULAR else train, leaf_size=self.leaf_size)
        self._n = len(train)

    def searcher(self, *, threads: int = 1) -> Search:  # type: ignore[override]
        """Bind nothing: the search is exact, and runs on one thread."""
        del threads
        query, n = self._tree.query, self._n
        self._tree.reset_n_calls()
        return lambda queries, k: query(queries, min(k, n), return_distance=False)

    def range_searcher(self, *, threads: int = 1) -> RangeSearch:  # type: ignore[override]
        """Bind nothing: the search is exact, and runs on one thread."""
        del threads
        query_radius, angular = self._tree.query_radius, self.metric is Metric.ANGULAR
        self._tree.reset_n_calls()

        def search(queries: Vectors, radius: float) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
            if radius < 0:
                return np.zeros(len(queries) + 1, np.int64), np.empty(0, np.int64)
            if angular:  # between unit vectors |u - v|^2 = 2 (1 - cos)
                queries, radius = normalise(queries), math.sqrt(2.0 * radius)
            # One whose distance is the radius counts, whatever rounding makes of it.
            rows = query_radius(queries, radius * (1.0 + _ROUNDING))
            indptr = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
            return indptr, np.concatenate(rows)

        return search

    def index_bytes(self) -> int:
        """Return the size of the tree's arrays, the float64 rows among them."""
        return sum(array.nbytes for array in self._tree.get_arrays())

    def counters(self) -> Mapping[str, int]:
        """Return the distances computed since the last bind: to rows and, in a ball tree, to centres as well."""
        return {"distance_computations": int(self._tree.get_n_calls())}


class KDTree(_Tree):
    """Cells are boxes."""

    tree = neighbors.KDTree


class BallTree(_Tree):
    """Cells are balls."""

    tree = neighbors.BallTree


__all__ = ["BallTree", "KDTree"]
