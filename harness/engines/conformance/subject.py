"""The plug-in under check, and the index of it that most checks look at."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.metric import Metric, neighbour_distances
from harness.engines.conformance.samples import DIM, fingerprint, sample
from harness.engines.contract import Algorithm, Search, as_neighbors

N, QUERIES, K = 600, 24, 10
# For plug-ins whose parameters are made for large sets: thousands of clusters or trees want as many vectors.
MANY = 5000
# An index on 600 vectors with a sensible setting finds most neighbours; a random answer finds 10 of 600. Of those made
# for large sets the coarsest setting may be the one that is checked: chance finds 10 of 5000.
LEAST_RECALL, LEAST_RECALL_OF_MANY = 0.3, 0.05
COMPILE_ROWS = 256

Resolve = Callable[[Mapping[str, int]], tuple[Mapping[str, Any], list[Mapping[str, Any]]]]
"""(n, dim, k) -> build parameters and some search settings, the last of which should be the most thorough."""


@dataclass(frozen=True)
class Subject:
    """The plug-in under check: its class, what it claims, and how its parameters follow from the data.

    Without `edges` it is another harness's: it owes neither answers on fewer vectors than k nor all of k ids, is asked
    for more vectors, and promises nothing to people.
    """

    name: str
    make: type[Algorithm]
    metric: Metric
    claimed: tuple[Metric, ...]
    ordered: bool
    is_floor: bool
    edges: bool
    resolve: Resolve
    builds: Callable[[Mapping[str, int]], list[Mapping[str, Any]]]
    """(n, dim, k) -> the build parameters of every grid that its config has for the metric."""

    @property
    def size(self) -> int:
        """How many vectors the index has that most checks look at."""
        return N if self.edges else MANY

    @property
    def least_recall(self) -> float:
        """The recall below which an answer is as good as guessed."""
        return LEAST_RECALL if self.edges else LEAST_RECALL_OF_MANY

    def construct(self, n: int) -> tuple[Algorithm, list[Mapping[str, Any]]]:
        """Make an index that is not built yet; return it with the search settings for `n` vectors."""
        build, searches = self.resolve({"n": n, "dim": DIM, "k": K})
        return self.make(self.metric, **build), searches

    def built(self, train: Any, *, threads: int = 1) -> tuple[Algorithm, list[Mapping[str, Any]]]:
        """Build an index over `train`; return it with the search settings for so many vectors."""
        algorithm, searches = self.construct(len(train))
        algorithm.compile(train[: min(len(train), COMPILE_ROWS)])
        algorithm.fit(train, threads=threads)
        return algorithm, searches


class Trial:
    """One plug-in under check: an index on `n` vectors and its answers, made when the first check asks for them."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.n = subject.size
        self.train = sample(subject.metric, self.n, seed=1)
        self.queries = sample(subject.metric, QUERIES, seed=2)
        self.prints = (fingerprint(self.train), fingerprint(self.queries))

    @cached_property
    def _built(self) -> tuple[Algorithm, list[Mapping[str, Any]]]:
        return self.subject.built(self.train)

    @property
    def index(self) -> Algorithm:
        """The index over `train`."""
        return self._built[0]

    @property
    def settings(self) -> list[Mapping[str, Any]]:
        """Its search settings, the most thorough one last."""
        return self._built[1]

    def bind(self, setting: int = -1) -> Search:
        """Bind a search setting: the last one, the most thorough, unless told otherwise."""
        return self.index.searcher(**self._built[1][setting])

    @cached_property
    def together(self) -> NDArray[np.int64]:
        """The answer to all queries in one call, (24, 10) ids."""
        return as_neighbors(self.bind()(self.queries, K), QUERIES, K, self.n)

    @cached_property
    def one_by_one(self) -> NDArray[np.int64]:
        """The answers to the queries one a call, (24, 10) ids."""
        return singly(self.bind(), self.queries, K, self.n)

    def distances(self, ids: NDArray[np.int64]) -> NDArray[np.float64]:
        """Compute the exact distances of (24, 10) ids from the queries."""
        return neighbour_distances(self.subject.metric, self.queries, self.train, ids)


def singly(search: Search, queries: Any, k: int, n: int) -> NDArray[np.int64]:
    """Ask the queries one a call; return (m, k) ids. Raises PluginError where an answer is none."""
    return np.concatenate([as_neighbors(search(queries[i : i + 1], k), 1, k, n) for i in range(len(queries))])


def true_distances(metric: Metric, queries: Any, train: Any) -> NDArray[np.float64]:
    """Compute the exact distances of every vector from each query, (m, n)."""
    return neighbour_distances(metric, queries, train, np.tile(np.arange(len(train)), (len(queries), 1)))


def recall(metric: Metric, queries: Any, train: Any, ids: NDArray[np.int64]) -> float:
    """Return the share of (m, k) ids that are as near as the true k-th neighbour."""
    found = neighbour_distances(metric, queries, train, ids)
    kth = np.sort(true_distances(metric, queries, train), axis=1)[:, ids.shape[1] - 1]
    return float((found <= kth[:, None] + 1e-5 * np.abs(kth[:, None]) + 1e-9).mean())
