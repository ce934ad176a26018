"""Timed calls: the innermost loop of workloads that ask a frozen index, and how its answers are put together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from time import perf_counter_ns
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import PluginError
from harness.data.vectors import contiguous
from harness.engines.contract import as_neighbors
from harness.store.spec import Mode


def call_once(
    search: Callable[[Any, Any], Any],
    queries: Any,
    argument: Any,
    mode: Mode,
    latencies: NDArray[np.int64],
    answers: list[Any],
) -> None:
    """Answer the queries once: one call a query in single mode, one call for all in batch mode.

    `argument` is what the search is called with beside the queries: k, or a radius. Writes the time of each call, in
    ns, to `latencies` (calls,), and what it returned to `answers`, a list as long.
    """
    if mode == "batch":
        started = perf_counter_ns()
        answer = search(queries, argument)
        latencies[0] = perf_counter_ns() - started
        answers[0] = answer
        return
    clock = perf_counter_ns
    for i in range(len(latencies)):
        query = queries[i : i + 1]
        started = clock()
        answer = search(query, argument)
        latencies[i] = clock() - started
        answers[i] = answer


class Queries:
    """The queries of a dataset in slices that are contiguous in memory; the last slice is kept, as rounds repeat it."""

    def __init__(self, test: Any) -> None:
        self._test = test
        self._last: tuple[int, int, Any] = (0, 0, None)

    def between(self, start: int, stop: int) -> Any:
        """Return the queries from `start` up to `stop`."""
        if self._last[:2] != (start, stop):
            self._last = (start, stop, contiguous(self._test[start:stop]))
        return self._last[2]


def neighbors_of(given: Sequence[Any], mode: Mode, count: int, k: int, n: int) -> NDArray[np.int64]:
    """Turn the answers of one round into (count, k) ids. Raises PluginError that names the query."""
    if mode == "batch":
        return as_neighbors(given[0], count, k, n)
    if all(isinstance(a, np.ndarray) and a.shape in ((1, k), (k,)) and a.dtype.kind in "iu" for a in given):
        return as_neighbors(np.concatenate([a.reshape(1, k) for a in given]), count, k, n)
    rows = []
    for i, answer in enumerate(given):
        try:
            rows.append(as_neighbors(answer, 1, k, n))
        except PluginError as problem:
            raise PluginError(f"query {i}: {problem}") from None
    return np.concatenate(rows)
