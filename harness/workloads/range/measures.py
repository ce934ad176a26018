"""How right a range search is: recall, precision, and average precision as big-ann-benchmarks has it."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from harness.store.result import Result
from harness.workloads.measure import Measure, format_count, format_share
from harness.workloads.range.truth import limit_of

_THRESHOLDS = 100


def hits(result: Result) -> NDArray[np.bool_]:
    """Mark the returned rows that truly lie within the radius, (total,) bool."""
    inside: NDArray[np.bool_] = result.arrays["distances"] <= limit_of(float(result.arrays["radius"][0]))
    return inside


def hits_by_query(result: Result) -> NDArray[np.float64]:
    """Count the returned rows within the radius for each query, (q,)."""
    total = np.concatenate([[0.0], np.cumsum(hits(result), dtype=np.float64)])
    indptr = result.arrays["indptr"]
    counts: NDArray[np.float64] = total[indptr[1:]] - total[indptr[:-1]]
    return counts


def query_recall(result: Result) -> NDArray[np.float64]:
    """Return the share of the true rows of each query that was returned, (q,).

    A query with no row within the radius counts 1 where the answer is empty, else 0, as in big-ann-benchmarks.
    """
    true = result.arrays["true_counts"].astype(np.float64)
    returned = np.diff(result.arrays["indptr"])
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = hits_by_query(result) / true
    return np.where(true > 0, np.minimum(shares, 1.0), (returned == 0).astype(np.float64))


def precision(result: Result) -> float:
    """Return the share of all returned rows that lie within the radius; 1 where nothing was returned."""
    found = hits(result)
    return float(found.mean()) if len(found) else 1.0


def average_precision(result: Result) -> float:
    """Return the area under the curve of precision over recall, as big-ann-benchmarks' range track scores it.

    Precision and recall of all queries together, at 100 distances evenly spaced up to the largest that was returned.
    """
    distances, found = result.arrays["distances"], hits(result)
    true = int(result.arrays["true_counts"].sum())
    if not len(distances) or true == 0:
        return 0.0
    order = np.argsort(distances, kind="stable")
    correct = np.concatenate([[0], np.cumsum(found[order])])
    returned = np.searchsorted(distances[order], np.linspace(-0.001, float(distances.max()), _THRESHOLDS))
    recalls = correct[returned] / true
    precisions = np.where(returned > 0, correct[returned] / np.maximum(returned, 1), 1.0)
    return float((np.diff(recalls) * (precisions[1:] + precisions[:-1]) / 2).sum())


def returned_rows(result: Result) -> float:
    """Return the mean number of rows returned for a query."""
    return len(result.arrays["ids"]) / result.queries if result.queries else math.nan


MEASURES = (
    Measure(
        name="precision",
        title="Precision",
        unit="",
        better="higher",
        formatter=format_share,
        function=precision,
        about="share of the returned rows that lie within the radius",
    ),
    Measure(
        name="average_precision",
        title="Average precision",
        unit="",
        better="higher",
        formatter=format_share,
        function=average_precision,
        about="area under precision over recall at 100 distances, as big-ann-benchmarks' range track has it",
    ),
    Measure(
        name="returned_rows",
        title="Rows returned",
        unit="per query",
        better=None,
        formatter=format_count,
        function=returned_rows,
        about="rows that an answer holds, on average",
    ),
)
