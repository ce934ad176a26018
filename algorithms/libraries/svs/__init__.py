"""Scalable Vector Search: Vamana (Subramanya 2019) over float32; its compressed vectors need a CPU by Intel."""

from __future__ import annotations

from typing import Any

import numpy as np
import svs
from numpy.typing import NDArray

from harness.core.errors import ParameterError
from harness.data.metric import Metric, normalise
from harness.engines.contract import Algorithm, Search, Vectors

_METRICS = {
    Metric.EUCLIDEAN: svs.DistanceType.L2,
    Metric.ANGULAR: svs.DistanceType.MIP,
    Metric.IP: svs.DistanceType.MIP,
}


class Vamana(Algorithm):
    """A graph pruned to `graph_max_degree` edges a node with slack `alpha` (> 1 for distances, < 1 for products)."""

    def __init__(
        self, metric: Metric, *, graph_max_degree: int = 32, window_size: int = 200, alpha: float | None = None
    ) -> None:
        self.metric = Metric(metric)
        if self.metric not in _METRICS:
            raise ParameterError(f"svs-vamana: metric {metric} is not supported; use one of {', '.join(_METRICS)}")
        if graph_max_degree < 2:
            raise ParameterError(
                f"svs-vamana: graph_max_degree = {graph_max_degree}; use at least 2, usually 32 to 128"
            )
        if window_size < 1:
            raise ParameterError(f"svs-vamana: window_size = {window_size}; use at least 1, usually 100 to 400")
        self.graph_max_degree, self.window_size = graph_max_degree, window_size
        self.alpha = (1.2 if self.metric is Metric.EUCLIDEAN else 0.95) if alpha is None else alpha
        if (self.alpha < 1) == (self.metric is Metric.EUCLIDEAN) and self.alpha != 1:
            raise ParameterError(
                f"svs-vamana: alpha = {alpha} doesn't suit {metric}; use at least 1 for euclidean, at most 1 otherwise"
            )
        self.effective = {"alpha": self.alpha}

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Build the graph over a copy of the rows."""
        # The norm of a query scales its inner products alike, so angular needs no normalised query.
        rows = normalise(train) if self.metric is Metric.ANGULAR else train
        parameters = svs.VamanaBuildParameters(
            alpha=self.alpha, graph_max_degree=self.graph_max_degree, window_size=self.window_size
        )
        self._index = svs.Vamana.build(parameters, rows, _METRICS[self.metric], num_threads=threads)

    def searcher(self, *, threads: int = 1, search_window_size: int = 50) -> Search:  # type: ignore[override]
        """Bind `search_window_size`, the length of the candidate list, which the library raises to k."""
        self._index.num_threads = threads
        self._index.search_window_size = search_window_size
        search, n = self._index.search, self._index.size

        def find(queries: Vectors, k: int) -> NDArray[Any]:
            ids: NDArray[Any] = search(queries, min(k, n))[0]
            # Where fewer were found, the library fills up with zeros: a last id of 0 needs a closer look.
            whole = ids[0, -1] if len(ids) == 1 else ids[:, -1].all()
            return ids if whole else _unpadded(ids)

        return find

    def index_bytes(self) -> int:
        """Return the size by formula: vectors, and every node's list of edges with its length."""
        return int(self._index.size * (4 * self._index.dimensions + 4 * (self.graph_max_degree + 1)))


def _unpadded(ids: NDArray[Any]) -> NDArray[np.int64]:
    """Replace zeros that end a row by -1, unless there is only one and no 0 before it: that may be an answer."""
    out = ids.astype(np.int64)
    for row in out:
        others = np.flatnonzero(row)
        end = int(others[-1]) + 1 if others.size else 1
        if np.count_nonzero(row == 0) > 1:
            row[end:] = -1
    return out
