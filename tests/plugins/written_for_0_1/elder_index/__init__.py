"""elder-index: exact search in NumPy, to be replaced by something faster."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from harness.contract import Algorithm, Search, Vectors
from harness.errors import ParameterError
from harness.metric import Metric, normalise


class ElderIndex(Algorithm):
    """Compares a query with a share of the vectors: with all of them, and the answer is exact."""

    def __init__(self, metric: Metric, *, block: int = 32) -> None:
        # Parameters are checked here, and no work is done: building is timed, and this isn't.
        if metric not in ("euclidean", "angular", "ip"):
            raise ParameterError(f"elder-index: metric {metric} is not supported; use euclidean, angular or ip")
        if block < 1:
            raise ParameterError(f"elder-index: block = {block}; use 1 or more queries at a time")
        self.metric, self.block = Metric(metric), block

    def fit(self, train: Vectors, *, threads: int = 1) -> None:
        """Keep the vectors, (n, dim) and read-only. An index is built here, by at most `threads` threads."""
        del threads  # there is nothing to share among them
        self.rows = normalise(train) if self.metric is Metric.ANGULAR else train
        # The nearest x has the least |x|^2 / 2 - x.q under euclidean, and the least -x.q under the other two.
        self.offsets = np.square(self.rows).sum(axis=1) / 2 * (self.metric is Metric.EUCLIDEAN)

    def searcher(self, *, threads: int = 1, share: float = 1.0) -> Search:  # type: ignore[override]
        """Bind a `share` of the vectors to look at: the less, the faster, and the fewer true neighbours are found."""
        del threads  # NumPy has threads of its own, which the harness holds to that number
        if not 0 < share <= 1:
            raise ParameterError(f"elder-index: share = {share}; use more than 0, and 1 at most")
        n = max(1, round(share * len(self.rows)))
        rows, offsets = self.rows[:n], self.offsets[:n]

        def nearest(queries: Vectors, k: int) -> NDArray[np.int64]:
            scores = offsets - queries @ rows.T
            ids = np.argpartition(scores, min(k, n) - 1, axis=1)[:, :k]
            return np.take_along_axis(ids, np.take_along_axis(scores, ids, axis=1).argsort(axis=1), axis=1)

        def search(queries: Vectors, k: int) -> NDArray[np.int64]:  # timed; one query a call, or all of them
            starts = range(0, len(queries), self.block)
            return np.concatenate([nearest(queries[start : start + self.block], k) for start in starts])

        return search

    def index_bytes(self) -> int:
        """Return the size of all that a search looks at."""
        return int(self.rows.nbytes + self.offsets.nbytes)
