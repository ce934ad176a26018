"""All rows within a radius of each query, one query a call or all in one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from harness.core.errors import ConfigError
from harness.data.dataset import Dataset, Header
from harness.data.exact_distances import ExactDistances
from harness.engines.contract import Algorithm, Ranges
from harness.engines.ranges import as_ranges
from harness.store.result import Result
from harness.store.spec import Mode
from harness.workloads.calls import Queries, call_once
from harness.workloads.range import measures
from harness.workloads.range.truth import radius_of, true_counts
from harness.workloads.workload import Arrays, Driver, Workload


class Terms(BaseModel):
    """Which radius: so many queries have their k-th true neighbour within it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    k: int = Field(default=10, ge=1)
    """The true neighbour whose distances the radius is taken from."""
    quantile: float = Field(default=0.5, ge=0, le=1)
    """The share of the queries whose k-th true neighbour lies within the radius."""
    mode: Mode = "single"
    """`single`, one query a call, or `batch`, all in one."""


class Range(Workload):
    """Range search with one radius for all queries."""

    name = "range"
    about = "all rows within a radius of each query"
    terms = Terms
    measures = measures.MEASURES
    ability = Ranges

    def folder(self, dataset: str, algorithm: str, terms: Terms) -> str:
        """Return `dataset/range-k-quantile/algorithm`, with `-batch` behind it in batch mode."""
        batch = "-batch" if terms.mode == "batch" else ""
        return f"{dataset}/range-{terms.k}-{terms.quantile:g}/{algorithm}{batch}"

    def words(self, terms: Terms) -> str:
        """Say which radius."""
        return f"all rows within the {terms.quantile:g} quantile of the {terms.k}-th distances"

    def variables(self, terms: Terms) -> dict[str, int]:
        """Return k, which parameters may be computed from."""
        return {"k": terms.k}

    def check(self, terms: Terms, dataset: Header) -> None:
        """Raise ConfigError where k is beyond the ground truth of a dataset."""
        if terms.k > dataset.depth:
            raise ConfigError(
                f"k = {terms.k}, but {dataset.name} has {dataset.depth} true neighbours a query, so that no radius "
                f"follows from it; use --k {dataset.depth} or less"
            )

    def prepare(self, terms: Terms, load: Callable[[], Dataset], count: int) -> None:
        """Count the rows within the radius, where that wasn't done before."""
        dataset = load()
        true_counts(dataset, radius_of(dataset, terms.k, terms.quantile), count, progress=True)

    def driver(self, algorithm: Algorithm, dataset: Dataset, terms: Terms, *, threads: int) -> Driver:
        """Return what asks a built index for all rows within the radius."""
        return _Driver(algorithm, dataset, terms, threads)

    def query_recall(self, result: Result) -> NDArray[np.float64]:
        """Return the share of the true rows of each query that was found, (q,)."""
        return measures.query_recall(result)


class _Driver(Driver):
    def __init__(self, algorithm: Algorithm, dataset: Dataset, terms: Terms, threads: int) -> None:
        self._algorithm, self._dataset, self._terms, self._threads = algorithm, dataset, terms, threads
        self._queries = Queries(dataset.test)
        self._radius = radius_of(dataset, terms.k, terms.quantile)

    def bind(self, params: Mapping[str, Any]) -> Any:
        """Bind search parameters."""
        assert isinstance(self._algorithm, Ranges)  # noqa: S101 - the worker has checked the ability
        return self._algorithm.range_searcher(threads=self._threads, **params)

    def calls(self, count: int) -> int:
        """Return one call a query, or one in all."""
        return 1 if self._terms.mode == "batch" else count

    def ask(self, search: Any, start: int, stop: int, latencies: NDArray[np.int64], answers: list[Any]) -> None:
        """Ask for all rows within the radius of each query."""
        call_once(search, self._queries.between(start, stop), self._radius, self._terms.mode, latencies, answers)

    def answers(self, given: Sequence[Any], count: int) -> Arrays:
        """Return `indptr` (count + 1,) and `ids` (total,), ascending within a query: rows come in no order."""
        n = len(self._dataset.train)
        asked = count if self._terms.mode == "batch" else 1
        parts = [as_ranges(one, asked, n) for one in given]
        counts = np.concatenate([np.diff(indptr) for indptr, _ in parts])
        indptr = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        ids = np.concatenate([ids for _, ids in parts])
        owner = np.repeat(np.arange(count), counts)
        return {"indptr": indptr, "ids": ids[np.lexsort((ids, owner))]}

    def recorded(self, answers: Arrays, distances: ExactDistances) -> Arrays:
        """Return the answers with exact distances, the radius, and how many rows are truly within it.

        `indptr` (q + 1,), `ids` and `distances` (total,), `radius` (1,), `true_counts` (q,).
        """
        indptr = answers["indptr"]
        count = len(indptr) - 1
        owner = np.repeat(np.arange(count), np.diff(indptr))
        return {
            **answers,
            "distances": distances.of_pairs(owner, answers["ids"]),
            "radius": np.array([self._radius]),
            "true_counts": true_counts(self._dataset, self._radius, count),
        }
