"""PyNNDescent: a k-NN graph by nearest-neighbour descent, pruned and searched greedily (numba)."""

from __future__ import annotations

import warnings

import numba
import pynndescent

from harness.core.errors import ParameterError
from harness.data.metric import Metric
from harness.engines.contract import Algorithm, Search, Vectors

_METRICS = {Metric.EUCLIDEAN: "euclidean", Metric.ANGULAR: "cosine"}


class PyNNDescent(Algorithm):
    """A graph of `n_neighbors` a point, its edges thinned with `diversify_prob` and `pruning_degree_multiplier`."""

    def __init__(
        self,
        metric: Metric,
        *,
        n_neighbors: int = 30,
        pruning_degree_multiplier: float = 1.5,
        diversify_prob: float = 1.0,
        leaf_size: int | None = None,
        seed: int = 1,
    ) -> None:
        self.metric = Metric(metric)
        if self.metric not in _METRICS:
            raise ParameterError(f"pynndescent: metric {metric} is not supported; use one of {', '.join(_METRICS)}")
        if n_neighbors < 2:
            raise ParameterError(f"pynndescent: n_neighbors = {n_neighbors}; use at least 2, usually 10 to 120")
        if not 0 <= diversify_prob <= 1:
            raise ParameterError(f"pynndescent: diversify_prob = {diversify_prob} is not a probability; use 0 to 1")
        self.n_neighbors, self.leaf_size, self.seed = n_neighbors, leaf_size, seed
        self.pruning_degree_multiplier, self.diversify_prob = pruning_degree_multiplier, diversify_prob

    def compile(self, sample: Vectors) -> None:
        """Build and search a small index, so that numba compiles outside the clock."""
        warm = PyNNDescent(self.metric, n_neighbors=self.n_neighbors)
        warm.fit(sample, threads=2)
        warm.searcher()(sample[:1], 1)

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Build the graph, and what `prepare` adds for the search."""
        self._n = len(train)
        n_neighbors = min(self.n_neighbors, self._n)
        self.effective = {} if n_neighbors == self.n_neighbors else {"n_neighbors": n_neighbors}
        with warnings.catch_warnings():
            # On small or degenerate sets the library warns that it found too few neighbours.
            warnings.simplefilter("ignore")
            self._index = pynndescent.NNDescent(
                train,
                metric=_METRICS[self.metric],
                n_neighbors=n_neighbors,
                pruning_degree_multiplier=self.pruning_degree_multiplier,
                diversify_prob=self.diversify_prob,
                leaf_size=self.leaf_size,
                random_state=self.seed,
                # numba refuses more threads than there were cores to run on when it started.
                n_jobs=min(threads, numba.config.NUMBA_NUM_THREADS),
            )
            self._index.prepare()

    def searcher(self, *, threads: int = 1, epsilon: float = 0.1) -> Search:  # type: ignore[override]
        """Bind `epsilon`: candidates within (1 + epsilon) of the k-th best so far are followed. One thread."""
        del threads
        query, n = self._index.query, self._n
        return lambda queries, k: query(queries, min(k, n), epsilon)[0]
