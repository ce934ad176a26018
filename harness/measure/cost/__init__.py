"""What the harness itself costs: a plug-in that answers in about 5 us, measured and in a bare loop.

`python -m harness.measure.cost` runs both in processes of their own, in turn, and prints the ratio pair by pair.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from harness.data.metric import Metric
from harness.engines.contract import Algorithm, Search


class FiveMicroseconds(Algorithm):
    """Answers with ids that don't matter, after sorting some numbers."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def fit(self, train: Any, *, threads: int = 1) -> None:
        """Keep a few numbers to sort."""
        del train, threads
        self._numbers = np.random.default_rng(0).random(600, dtype=np.float32)

    def searcher(self, *, threads: int = 1, **search_params: Any) -> Search:
        """Return the search; it takes no parameters."""
        del threads, search_params
        numbers = self._numbers

        def search(queries: Any, k: int) -> Any:
            ids = np.sort(numbers)[:k].argsort()
            return ids if len(queries) == 1 else [ids] * len(queries)

        return search
