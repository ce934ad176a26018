"""Semantic textual similarity: does what is alike by its embeddings look alike to people?"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
from numpy.typing import NDArray

from harness.core.errors import AnnbenchError, UnknownNameError
from harness.data.metric import Metric, pair_distances
from harness.embedding.measures.vectors import Matrix, finite

Similarity = Literal["cosine", "euclidean", "dot"]

_METRICS = {"cosine": Metric.ANGULAR, "euclidean": Metric.EUCLIDEAN, "dot": Metric.IP}
# Values whose spread is below this share of their size differ by rounding alone (scipy warns at the same share).
_CONSTANT = 1e-13


class Correlation(NamedTuple):
    """How well similarities follow the gold scores, -1..1; where both are nan, `unknown` says why."""

    spearman: float
    pearson: float
    unknown: str = ""


def similarities(first: Matrix, second: Matrix, kind: Similarity = "cosine") -> NDArray[np.float64]:
    """Return how alike each row of `first` is to that of `second`, (n,): the higher, the more.

    Both (n, dim) float; `euclidean` is minus the distance. A row of zeros has a cosine of 0 with anything. Raises
    UnknownNameError for another kind, AnnbenchError for shapes that differ, DatasetError for a value that isn't finite.
    """
    if kind not in _METRICS:
        raise UnknownNameError("similarity", kind, get_args(Similarity))
    if first.shape != second.shape:
        raise AnnbenchError(f"pairs need two arrays of one shape: given {first.shape} and {second.shape}")
    rows = np.arange(len(first))
    distances = pair_distances(_METRICS[kind], finite(first, "first"), finite(second, "second"), rows, rows)
    return 1.0 - distances if kind == "cosine" else -distances


def correlate(values: NDArray[np.floating[Any]], gold: NDArray[Any]) -> Correlation:
    """Return the correlations of similarities with gold scores, both (n,); equal values share their mean rank.

    Two nans and the reason where there are fewer than two pairs or either side doesn't vary. Raises AnnbenchError for
    shapes that differ or values that aren't finite.
    """
    from scipy.stats import rankdata

    sides = {"similarities": np.asarray(values, np.float64), "gold scores": np.asarray(gold, np.float64)}
    x, y = sides.values()
    if x.shape != y.shape or x.ndim != 1:
        raise AnnbenchError(f"each similarity needs one gold score: given {x.shape} and {y.shape}")
    for name, side in sides.items():
        if not np.isfinite(side).all():
            row = int(np.flatnonzero(~np.isfinite(side))[0])
            raise AnnbenchError(f"{name}[{row}] is {side[row]}: it must be finite")
    if len(x) < 2:
        return Correlation(math.nan, math.nan, f"a correlation needs two pairs or more: there are {len(x)}")
    for name, side in sides.items():
        if np.ptp(side) <= _CONSTANT * np.abs(side).max():
            return Correlation(math.nan, math.nan, f"all {name} are {side[0]:g}: what doesn't vary has no correlation")
    return Correlation(spearman=_pearson(rankdata(x), rankdata(y)), pearson=_pearson(x, y))


def sts(first: Matrix, second: Matrix, gold: NDArray[Any]) -> dict[Similarity, Correlation]:
    """Return the correlation of each kind of similarity between rows of `first` and `second` with `gold`, (n,).

    The Spearman correlation of the cosine is what MTEB quotes (Reimers et al. 2016, "Task-Oriented Intrinsic Evaluation
    of Semantic Textual Similarity").
    """
    kinds: tuple[Similarity, ...] = get_args(Similarity)
    return {kind: correlate(similarities(first, second, kind), gold) for kind in kinds}


def _pearson(x: NDArray[np.float64], y: NDArray[np.float64]) -> float:
    # Scaled first, so that squares of tiny and huge values stay within range.
    x, y = x - x.mean(), y - y.mean()
    x, y = x / np.abs(x).max(), y / np.abs(y).max()
    return float(np.clip(x @ y / math.sqrt((x @ x) * (y @ y)), -1.0, 1.0))
