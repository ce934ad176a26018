"""The k nearest neighbours of each query, one query a call or all in one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from harness.core.errors import ConfigError
from harness.data.dataset import Dataset, Header
from harness.data.exact_distances import ExactDistances
from harness.engines.contract import Algorithm, Search
from harness.store.envelope import Companion
from harness.store.result import Result
from harness.store.spec import Mode
from harness.workloads.calls import Queries, call_once, neighbors_of
from harness.workloads.knn import recall
from harness.workloads.knn.companion import companion
from harness.workloads.workload import Arrays, Driver, Workload


class Terms(BaseModel):
    """How many neighbours, and how queries are asked."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    k: int = Field(default=10, ge=1)
    """Neighbours that are asked for."""
    mode: Mode = "single"
    """`single`, one query a call, or `batch`, all in one."""


class Knn(Workload):
    """k nearest neighbours."""

    name = "knn"
    about = "the k nearest neighbours of each query"
    terms = Terms
    measures = recall.MEASURES

    def folder(self, dataset: str, algorithm: str, terms: Terms) -> str:
        """Return `dataset/k/algorithm`, with `-batch` behind it in batch mode: ann-benchmarks looks there."""
        return f"{dataset}/{terms.k}/{algorithm}{'-batch' if terms.mode == 'batch' else ''}"

    def words(self, terms: Terms) -> str:
        """Write k."""
        return f"k = {terms.k}"

    def variables(self, terms: Terms) -> dict[str, int]:
        """Return k, which parameters may be computed from."""
        return {"k": terms.k}

    def check(self, terms: Terms, dataset: Header) -> None:
        """Raise ConfigError where k is beyond the ground truth of a dataset."""
        depth = dataset.depth
        if terms.k > depth:
            way = f", or: annbench prepare {dataset.name} --neighbors {terms.k}" if depth < dataset.n else ""
            raise ConfigError(
                f"k = {terms.k}, but {dataset.name} has {depth} true neighbours a query; use --k {depth} or less{way}"
            )

    def driver(self, algorithm: Algorithm, dataset: Dataset, terms: Terms, *, threads: int) -> Driver:
        """Return what asks a built index for neighbours."""
        return _Driver(algorithm, dataset, terms, threads)

    def query_recall(self, result: Result) -> NDArray[np.float64]:
        """Return recall@k of each query, (q,)."""
        return recall.query_recall(result)

    def companion(self, result: Result) -> Companion:
        """Return the layout of ann-benchmarks."""
        return companion(result)


class _Driver(Driver):
    def __init__(self, algorithm: Algorithm, dataset: Dataset, terms: Terms, threads: int) -> None:
        self._algorithm, self._dataset, self._terms, self._threads = algorithm, dataset, terms, threads
        self._queries = Queries(dataset.test)

    def bind(self, params: Mapping[str, Any]) -> Search:
        """Bind search parameters."""
        return self._algorithm.searcher(threads=self._threads, **params)

    def calls(self, count: int) -> int:
        """Return one call a query, or one in all."""
        return 1 if self._terms.mode == "batch" else count

    def ask(self, search: Search, start: int, stop: int, latencies: NDArray[np.int64], answers: list[Any]) -> None:
        """Ask for the k nearest of each query."""
        queries = self._queries.between(start, stop)
        call_once(search, queries, self._terms.k, self._terms.mode, latencies, answers)

    def answers(self, given: Sequence[Any], count: int) -> Arrays:
        """Return `neighbors`, (count, k) int64 padded with -1."""
        n = len(self._dataset.train)
        return {"neighbors": neighbors_of(given, self._terms.mode, count, self._terms.k, n)}

    def recorded(self, answers: Arrays, distances: ExactDistances) -> Arrays:
        """Return the neighbours with their exact distances, and those of the true k-th neighbour.

        `neighbors` (q, k), `distances` (q, k) padded with inf, `kth_distance` (q,), and `kth_distance_file` (q,), the
        dataset's own figure.
        """
        ids, k, data = answers["neighbors"], self._terms.k, self._dataset
        q = len(ids)
        return {
            "neighbors": ids,
            "distances": distances.of(ids),
            "kth_distance": distances.of(data.neighbors[:q, k - 1 : k].astype(np.int64))[:, 0],
            "kth_distance_file": data.distances[:q, k - 1],
        }
