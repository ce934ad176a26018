"""How right the k nearest neighbours of a result are: recall under four definitions."""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from harness.store.result import Result
from harness.workloads.measure import Measure, format_share

# Recomputed distances are sums in float64: two equal ones differ by rounding only. The same relative slack is ours for
# `recall`; the floor (1e-6 * 1e-6) is for distances of 0, where a relative slack is none.
RECALL_SLACK = 1e-6
_LEAST_SLACK = 1e-12
_ANNB_SLACK = 1e-3

# Several figures of a result rest on the same arrays; a table takes one result at a time, so that the last few suffice.
_LAST = 4


@lru_cache(maxsize=_LAST)
def hits_within(result: Result, slack: float) -> NDArray[np.float64]:
    """Return each query's share of returned ids no farther than `d_k + slack |d_k|`, (q,) float64, read-only.

    `d_k` is the exact distance of the true k-th neighbour, so that ties count and negative inner products work.
    Padding (inf) is a miss. Where fewer than k true neighbours exist, `d_k` is inf: then every real id counts, and the
    denominator is the number of rows there are (`environment["train_rows"]`), or k where the file doesn't say.
    """
    k = int(result.spec["k"])
    bound = result.arrays["kth_distance"].astype(np.float64)
    with np.errstate(invalid="ignore"):
        limit = bound + np.maximum(slack * np.abs(bound), _LEAST_SLACK)
    hits = (result.arrays["distances"][:, :k] <= limit[:, None]) & (result.arrays["neighbors"][:, :k] >= 0)
    exist = np.full(len(bound), float(k))
    rows = _train_rows(result)
    if 0 < rows < k:
        exist[np.isposinf(bound)] = rows
    shares: NDArray[np.float64] = np.minimum(_counted(hits) / exist, 1.0)
    # An import without its dataset doesn't know the true distances: that is no recall of 0.
    shares[np.isnan(bound)] = np.nan
    shares.flags.writeable = False
    return shares


def _counted(hits: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Count the hits of each row of (q, k), in a fourth of the time that numpy's sum over a short axis takes."""
    return hits @ np.ones(hits.shape[1])


def query_recall(result: Result) -> NDArray[np.float64]:
    """Return recall@k of each query, (q,) float64: `d <= d_k + 1e-6 max(|d_k|, 1e-6)`."""
    return hits_within(result, RECALL_SLACK)


def recall_annb(result: Result) -> float:
    """Return mean recall as ann-benchmarks defines it; nan where the dataset's own distances are not known."""
    # numpy: a float32 array plus a Python float stays float32, as the single row does in ann-benchmarks' own loop.
    k = int(result.spec["k"])
    if np.isnan(result.arrays["kth_distance_file"]).any():
        return math.nan
    limit = result.arrays["kth_distance_file"] + _ANNB_SLACK
    return _mean(_counted(result.arrays["distances"][:, :k] <= limit[:, None])) / k


def _train_rows(result: Result) -> int:
    value = result.document.environment.get("train_rows")
    return int(value) if isinstance(value, int | float) and math.isfinite(value) else 0


def _mean(values: NDArray[np.float64]) -> float:
    return float(values.mean()) if values.size else math.nan


MEASURES = (
    Measure(
        name="recall_annb",
        title="Recall@k (ann-benchmarks)",
        unit="",
        better="higher",
        formatter=format_share,
        function=recall_annb,
        about="the definition of ann-benchmarks: no farther than the dataset's own k-th distance + 0.001",
    ),
    Measure(
        name="eps0.01",
        title="Recall within 1%",
        unit="",
        better="higher",
        formatter=format_share,
        function=lambda result: _mean(hits_within(result, 0.01)),
        about="share of the k returned ids that are at most 1% farther than the true k-th neighbour",
    ),
    Measure(
        name="eps0.1",
        title="Recall within 10%",
        unit="",
        better="higher",
        formatter=format_share,
        function=lambda result: _mean(hits_within(result, 0.1)),
        about="share of the k returned ids that are at most 10% farther than the true k-th neighbour",
    ),
)
