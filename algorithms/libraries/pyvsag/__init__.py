"""VSAG's HGraph: a graph searched over quantised vectors, its candidates ranked again by exact distances."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pyvsag
from numpy.typing import NDArray

from harness.core.errors import ParameterError
from harness.data.metric import Metric
from harness.engines.contract import Algorithm, Search, Vectors

pyvsag.set_logger_off()

_METRICS = {Metric.EUCLIDEAN: "l2", Metric.ANGULAR: "cosine", Metric.IP: "ip"}
# Bytes a dimension of the vectors that the graph is walked over.
_QUANTIZATION = {"sq8": 1.0, "sq8_uniform": 1.0, "sq4_uniform": 0.5, "fp16": 2.0, "fp32": 4.0}


class HGraph(Algorithm):
    """A graph of `max_degree` edges a node; `quantization` is of the vectors that are walked over."""

    def __init__(
        self, metric: Metric, *, max_degree: int = 32, ef_construction: int = 400, quantization: str = "sq8"
    ) -> None:
        self.metric = Metric(metric)
        if self.metric not in _METRICS:
            raise ParameterError(f"vsag-hgraph: metric {metric} is not supported; use one of {', '.join(_METRICS)}")
        if max_degree < 2:
            raise ParameterError(f"vsag-hgraph: max_degree = {max_degree}; use at least 2, usually 16 to 64")
        if ef_construction < 1:
            raise ParameterError(
                f"vsag-hgraph: ef_construction = {ef_construction}; use at least 1, usually 100 to 500"
            )
        if quantization not in _QUANTIZATION:
            raise ParameterError(
                f"vsag-hgraph: quantization = {quantization!r} is unknown; use one of {', '.join(_QUANTIZATION)}"
            )
        self.max_degree, self.ef_construction, self.quantization = max_degree, ef_construction, quantization

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Insert the rows one by one, on one thread: the Python package has no say in that."""
        del threads
        n, self._dim = train.shape
        self._n = n
        parameters = {
            "dtype": "float32",
            "metric_type": _METRICS[self.metric],
            "dim": self._dim,
            "index_param": {
                "base_quantization_type": self.quantization,
                "max_degree": self.max_degree,
                "ef_construction": self.ef_construction,
                "use_reorder": self.quantization != "fp32",
                "precise_quantization_type": "fp32",
            },
        }
        self._index = pyvsag.Index("hgraph", json.dumps(parameters))
        # Given a read-only array, the library ends the process: hence the copy.
        self._index.build(vectors=train.flatten(), ids=np.arange(n, dtype=np.int64), num_elements=n, dim=self._dim)

    def searcher(self, *, threads: int = 1, ef: int = 50) -> Search:  # type: ignore[override]
        """Bind `ef`, the length of the candidate list, raised to k where k is greater. One thread."""
        del threads  # the library holds Python's lock
        knn, n = self._index.knn_search, self._n
        settings = json.dumps({"hgraph": {"ef_search": ef}})

        def one(query: NDArray[np.float32], k: int) -> Any:
            wanted = settings if ef >= k else json.dumps({"hgraph": {"ef_search": k}})
            # Given a read-only array, the library ends the process: hence the copy.
            ids, distances = knn(vector=query.copy(), k=k, parameters=wanted)
            # Where fewer than k were found, the library leaves the rest of both arrays as the memory was.
            if 0 <= ids[-1] < n and distances[-1] > distances[0]:
                return ids
            return _found(ids, distances, n)

        def search(queries: Vectors, k: int) -> Any:
            k = min(k, n)
            return [one(query, k) for query in queries]

        return search

    def index_bytes(self) -> int:
        """Return the size by formula, as the library keeps no account: both copies of the vectors, and the edges."""
        exact = 0 if self.quantization == "fp32" else 4 * self._dim
        return int(self._n * (_QUANTIZATION[self.quantization] * self._dim + exact + 4 * (self.max_degree + 1)))


def _found(ids: NDArray[np.int64], distances: NDArray[np.float32], n: int) -> NDArray[np.int64]:
    """Cut an answer where it stops being one: at an id out of range or given before, or a distance out of order."""
    seen: set[int] = set()
    last = -np.inf
    for i, (found, distance) in enumerate(zip(ids.tolist(), distances.tolist(), strict=True)):
        if not 0 <= found < n or found in seen or not distance >= last:
            return ids[:i]
        seen.add(found)
        last = distance
    return ids
