"""Many queries at once: each thread answers a part of them with memory of its own."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class Answers(Protocol):
    """What one thread answers queries with."""

    def answer(self, queries: NDArray[np.float32], answers: NDArray[np.int64]) -> None:
        """Fill `answers` (m, k) with the ids found for `queries` (m, dim), read-only."""


def share(workers: Sequence[Answers], queries: NDArray[np.float32], answers: NDArray[np.int64]) -> None:
    """Fill `answers` (m, k) for `queries` (m, dim), read-only, m >= 1: the workers take parts of the same size."""
    m = len(queries)
    parts = min(len(workers), m)
    if parts == 1:
        workers[0].answer(queries, answers)
        return
    bounds = [m * i // parts for i in range(parts + 1)]
    with ThreadPoolExecutor(parts) as pool:
        work = [
            pool.submit(worker.answer, queries[start:stop], answers[start:stop])
            for worker, start, stop in zip(workers, bounds, bounds[1:], strict=False)
        ]
        for done in work:
            done.result()
