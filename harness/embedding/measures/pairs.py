"""Pair classification: does one threshold on the similarity tell pairs that belong together from those that don't?"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import AnnbenchError


class PairScores(NamedTuple):
    """How well similarities tell pairs apart.

    Accuracy and F1 are the best that any threshold reaches: a pair belongs together where its similarity is at or above
    it. The threshold of the accuracy is inf where no pair is best called one.
    """

    average_precision: float
    accuracy: float
    accuracy_threshold: float
    f1: float
    f1_threshold: float


def score_pairs(similarities: NDArray[np.floating[Any]], together: NDArray[Any]) -> PairScores:
    """Score `similarities` (n,) against `together` (n,) bool or 0 and 1.

    The average precision is scikit-learn's and MTEB's: precisions at each similarity that occurs, weighted by the
    recall gained. Pairs of equal similarity go the same way, since no threshold parts them; sentence-transformers'
    search for the best threshold does part them, in the order in which they stand. Of equally good thresholds it is the
    highest.
    Raises AnnbenchError for shapes that differ, similarities that aren't finite, labels other than 0 and 1, and where
    all are 0.
    """
    values = np.asarray(similarities, np.float64)
    if values.ndim != 1 or values.shape != together.shape:
        raise AnnbenchError(f"each similarity needs one label: given {values.shape} and {together.shape}")
    if not np.isfinite(values).all():
        row = int(np.flatnonzero(~np.isfinite(values))[0])
        raise AnnbenchError(f"similarities[{row}] is {values[row]}: it must be finite")
    if not np.isin(together, (0, 1)).all():
        row = int(np.flatnonzero(~np.isin(together, (0, 1)))[0])
        raise AnnbenchError(f"the label of pair {row} is {together[row]}: it must be 0 or 1")
    positives = int(np.count_nonzero(together))
    if not positives:
        raise AnnbenchError("no pair belongs together: precision and recall need one that does")
    order = np.argsort(-values, kind="stable")
    values, hits = values[order], together[order].astype(np.int64)
    last = np.flatnonzero(np.append(np.diff(values) != 0, True))  # of each run of equal similarities
    called, right = last + 1, hits.cumsum()[last]
    recall = right / positives
    thresholds = _thresholds(values[last])
    f1 = 2 * right / (called + positives)
    accuracy = (right + (len(values) - positives) - (called - right)) / len(values)
    nothing = 1 - positives / len(values)  # the accuracy of calling no pair
    best, best_f1 = int(accuracy.argmax()), int(f1.argmax())
    calls = bool(accuracy[best] > nothing)
    return PairScores(
        average_precision=float(np.diff(recall, prepend=0.0) @ (right / called)),
        accuracy=float(accuracy[best]) if calls else nothing,
        accuracy_threshold=float(thresholds[best]) if calls else math.inf,
        f1=float(f1[best_f1]),
        f1_threshold=float(thresholds[best_f1]),
    )


def _thresholds(descending: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a threshold that each value and all before it pass: half-way to the next, and the last value itself."""
    upper, lower = descending[:-1], descending[1:]
    half = lower + (upper - lower) / 2
    # Between neighbours in floating point there is no half-way.
    return np.append(np.where(half > lower, half, upper), descending[-1])
