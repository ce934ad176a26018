"""The plug-in that does nothing: what it costs is the harness's own floor."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.data.metric import Metric
from harness.engines.contract import Algorithm, Search


class Null(Algorithm):
    """Answer every query with the ids 0..k-1, out of an array made once."""

    def __init__(self, metric: Metric) -> None:
        self.metric = Metric(metric)

    def fit(self, train: Any, *, threads: int = 1) -> None:
        """Remember how many vectors there are."""
        del threads
        self._n = len(train)

    def searcher(self, *, threads: int = 1) -> Search:  # type: ignore[override]
        """Bind nothing."""
        del threads
        n = self._n
        # Holds one read-only answer for each (number of queries, k) seen so far, so that it may be handed out again.
        ready: dict[tuple[int, int], NDArray[np.int64]] = {}

        def search(queries: Any, k: int) -> NDArray[np.int64]:
            shape = len(queries), k
            if shape not in ready:
                answer = np.full(shape, -1, np.int64)
                answer[:, :n] = np.arange(min(n, k))
                answer.flags.writeable = False
                ready[shape] = answer
            return ready[shape]

        return search

    def index_bytes(self) -> int:
        """Return 0: a search reads nothing."""
        return 0
