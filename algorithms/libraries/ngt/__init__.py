"""NGT's ONNG: a neighbourhood graph with its degrees adjusted (Iwasaki & Miyazaki 2018), entered through a tree."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import ngtpy
import numpy as np
from numpy.typing import NDArray

from harness.core.errors import ParameterError
from harness.data.metric import Metric, normalise
from harness.engines.contract import Algorithm, Search, Vectors

_METRICS = (Metric.EUCLIDEAN, Metric.ANGULAR)
# "As many edges as the index finds best", in the library's code.
_DYNAMIC_EDGES = -2


class ONNG(Algorithm):
    """A graph of `edge` neighbours a node, then cut to `outdegree` edges out and `indegree` edges in.

    `tune_prefetch` has the library time searches to find how far to prefetch, which can take minutes.
    """

    def __init__(
        self,
        metric: Metric,
        *,
        edge: int = 100,
        outdegree: int = 10,
        indegree: int = 120,
        tune_prefetch: bool = False,
    ) -> None:
        self.metric = Metric(metric)
        if self.metric not in _METRICS:
            raise ParameterError(f"ngt-onng: metric {metric} is not supported; use one of {', '.join(_METRICS)}")
        for name, value in (("edge", edge), ("outdegree", outdegree), ("indegree", indegree)):
            if value < 1:
                raise ParameterError(f"ngt-onng: {name} = {value}; use at least 1, usually 10 to 120")
        self.edge, self.outdegree, self.indegree = edge, outdegree, indegree
        self.tune_prefetch = tune_prefetch

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Build and adjust the graph on disk, as the library does, then load it."""
        self._n, dim = train.shape
        rows = normalise(train) if self.metric is Metric.ANGULAR else train
        with TemporaryDirectory() as folder:
            plain, adjusted = f"{folder}/anng", f"{folder}/onng"
            ngtpy.create(plain, dim, edge_size_for_creation=self.edge, distance_type="L2")
            index = ngtpy.Index(plain, log_disabled=True)
            index.batch_insert(rows, num_threads=threads)
            index.save()
            index.close()
            optimizer = ngtpy.Optimizer(
                num_of_outgoings=self.outdegree, num_of_incomings=self.indegree, log_disabled=True
            )
            optimizer.set_processing_modes(
                shortcut_reduction=True,
                search_parameter_optimization=False,
                prefetch_parameter_optimization=self.tune_prefetch,
                accuracy_table_generation=False,
            )
            optimizer.execute(plain, adjusted)
            self._bytes = sum(file.stat().st_size for file in Path(adjusted).iterdir())
            # Read whole into memory: the folder isn't needed any more.
            self._index = ngtpy.Index(adjusted, read_only=True, log_disabled=True)

    def searcher(self, *, threads: int = 1, epsilon: float = 0.1, edge_size: int = _DYNAMIC_EDGES) -> Search:  # type: ignore[override]
        """Bind `epsilon`, by which the search radius exceeds the k-th best so far, and the edges followed a node."""
        del threads  # the library's batch search takes no number of threads
        self._index.set(epsilon=epsilon, edge_size=edge_size)
        find, n, angular = self._index.search, self._n, self.metric is Metric.ANGULAR

        def search(queries: Vectors, k: int) -> Any:
            k = min(k, n)
            if angular:
                queries = _unit(queries)
            return [find(query, k, with_distance=False) for query in queries]

        return search

    def index_bytes(self) -> int:
        """Return the size of the library's files, vectors included."""
        return self._bytes


def _unit(queries: Vectors) -> NDArray[np.float32]:
    """Scale queries to unit length: `epsilon` is relative to a distance, so the norm matters to the search."""
    norms = np.sqrt(np.einsum("ij,ij->i", queries, queries))
    norms[norms == 0] = 1
    unit: NDArray[np.float32] = queries / norms[:, None]
    return unit
