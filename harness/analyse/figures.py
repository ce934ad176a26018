"""Figures of a result: recall, speed, build and memory, each a function of one `Result`.

`harness.analyse.measures` gives them their names, units and directions.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from harness.analyse.clock import Clock, time_factors
from harness.store.document import Process
from harness.store.result import Result
from harness.workloads.catalogue import workload_of

# Below three quiet passes a median over them says less than one over all passes does.
MIN_UNDISTURBED = 3

_WORST_SHARE = 0.05

# Several figures of a result rest on the same arrays; a table takes one result at a time, so that the last few suffice.
_LAST = 4

# --- recall --------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=_LAST)
def query_recall(result: Result) -> NDArray[np.float64]:
    """Return the recall of each query, (q,) float64, as its workload defines it; nan where the truth isn't known."""
    return workload_of(result).query_recall(result)


def recall_worst(result: Result) -> float:
    """Return the mean recall of the 5% of queries that were answered worst."""
    shares = np.sort(query_recall(result))
    return mean(shares[: max(1, math.ceil(_WORST_SHARE * len(shares)))])


# --- time ----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=_LAST)
def quoted_passes(result: Result) -> NDArray[np.intp]:
    """Return the numbers of the passes that figures come from: the undisturbed ones, or all if those are too few."""
    measured = np.bincount(result.repetition_pass, minlength=result.passes)[: result.passes] > 0
    quiet = np.flatnonzero(measured & ~result.pass_disturbed)
    return quiet if len(quiet) >= MIN_UNDISTURBED else np.flatnonzero(measured)


@lru_cache(maxsize=_LAST)
def pass_latencies(result: Result) -> NDArray[np.float64]:
    """Return seconds for each query in each quoted pass, the mean over its repetitions, read-only.

    (passes, q) float64 in single mode; (passes, 1) in batch mode, where it is the time of the call over its queries.
    """
    chosen = _quoted_rows(result)
    order = chosen[np.argsort(result.repetition_pass[chosen], kind="stable")]
    _, starts, counts = np.unique(result.repetition_pass[order], return_index=True, return_counts=True)
    latencies = result.latencies_ns[order]
    if len(starts) < len(order):
        latencies = np.add.reduceat(latencies, starts, axis=0)
    out = latencies / counts[:, None]
    if result.spec.get("mode") == "batch":
        out /= max(result.queries, 1)
    out *= 1e-9
    out.flags.writeable = False
    return out


def pass_qps(result: Result, clock: Clock = "wall") -> NDArray[np.float64]:
    """Return the queries per second of each quoted pass, (passes,) float64: queries answered over summed latency.

    By the CPU clock the latencies of a pass count by its share of a core; nan where the file doesn't say.
    """
    latencies = pass_latencies(result)
    if not latencies.size:
        return np.empty(0)
    mean = latencies.mean(axis=1) * time_factors(result, clock)[quoted_passes(result)]
    with np.errstate(divide="ignore"):
        return np.where(mean > 0, 1.0 / mean, np.nan)


def qps(result: Result, clock: Clock = "wall") -> float:
    """Return the median queries per second over the quoted passes."""
    values = pass_qps(result, clock)
    return float(np.median(values)) if len(values) else math.nan


def qps_cpu(result: Result) -> float:
    """Return the median queries per second of CPU time over the quoted passes."""
    return qps(result, "cpu")


def qps_annb(result: Result) -> float:
    """Return queries per second of the best repetition."""
    totals = result.latencies_ns.sum(axis=1)
    best = totals.min() / (1e9 * result.queries) if len(totals) and result.queries else 0.0
    return float(1.0 / best) if best > 0 else math.nan


def latency_percentile(share: float) -> Callable[[Result], float]:
    """Return a function that gives a percentile of latency in microseconds."""

    def latency(result: Result) -> float:
        values = sorted_latencies(result)
        return float(sorted_quantiles(values, (share / 100,))[0]) / 1e3 if values.size else math.nan

    return latency


@lru_cache(maxsize=_LAST)
def sorted_latencies(result: Result) -> NDArray[np.int64]:
    """Return the latencies of all quoted passes in nanoseconds, ascending and read-only."""
    latencies = result.latencies_ns[_quoted_rows(result)]
    if latencies.size and latencies.min() >= 0 and latencies.max() < 2**31:  # half as wide sorts twice as fast
        latencies = latencies.astype(np.int32)
    values = np.sort(latencies, axis=None).astype(np.int64)
    values.flags.writeable = False
    return values


def _quoted_rows(result: Result) -> NDArray[np.intp]:
    """Return the numbers of the repetitions that belong to quoted passes."""
    quoted = np.zeros(max(result.passes, int(result.repetition_pass.max(initial=-1)) + 1), np.bool_)
    quoted[quoted_passes(result)] = True
    return np.flatnonzero(quoted[result.repetition_pass])


def sorted_quantiles(values: NDArray[Any], shares: Sequence[float]) -> NDArray[np.float64]:
    """Return quantiles of ascending `values`, one or more, at `shares` of 0..1: numpy's, which would sort once more."""
    place = np.asarray(shares) * (len(values) - 1)
    below = place.astype(np.intp)
    low, high = values[below], values[np.minimum(below + 1, len(values) - 1)]
    quantiles: NDArray[np.float64] = low + (high - low) * (place - below)
    return quantiles


# --- what the build cost -------------------------------------------------------------------------------------------


def over_processes(
    pick: Callable[[Process], float | None], combine: Callable[[Any], Any] = np.median
) -> Callable[[Result], float]:
    """Return a function that combines what each process said, leaving out those that said nothing."""

    def figure(result: Result) -> float:
        values = [value for process in result.document.processes if (value := pick(process)) is not None]
        if len(values) == 1:  # what all ways to combine make of one, at a hundredth of the cost
            return float(values[0])
        return float(combine(values)) if values else math.nan

    return figure


def growth(process: Process) -> float | None:
    """Return how much memory of its own a process gained by fit, in bytes."""
    if process.uss_after_fit is None or process.uss_before_fit is None:
        return None
    return float(process.uss_after_fit - process.uss_before_fit)


index_bytes = over_processes(lambda process: process.index_bytes)


def bytes_per_vector(result: Result) -> float:
    """Return index bytes over the number of vectors."""
    rows = train_rows(result)
    return index_bytes(result) / rows if rows > 0 else math.nan


def distance_computations(result: Result) -> float:
    """Return distances computed for a query."""
    count = result.document.counters.get("distance_computations")
    return count / result.queries if count is not None and result.queries else math.nan


def train_rows(result: Result) -> int:
    """Return the number of vectors searched, as the file's environment says; 0 where it doesn't."""
    value = result.document.environment.get("train_rows")
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0


def mean(values: NDArray[np.float64]) -> float:
    """Return the mean; nan of nothing."""
    return float(values.mean()) if values.size else math.nan
