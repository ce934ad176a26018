"""How far a figure can be trusted, and whether one model is better than another, from values a query or a pair.

The interval of a mean over queries is `harness.analyse.statistics.mean_range`; here is what compares two models on the
same queries, and the interval of a Spearman correlation, which is no mean.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.analyse.statistics import (
    DEFAULT_LEVEL,
    DEFAULT_REPLICATES,
    Range,
    check_bootstrap,
    mean_range,
    percentile_range,
)
from harness.core.errors import AnnbenchError

DEFAULT_FLIPS = 10_000
SURE = 0.05
"""A p-value below this counts as a difference that chance alone hardly makes."""
# Values drawn at once: tens of megabytes, however many pairs there are.
_BLOCK = 1 << 20


class Comparison(NamedTuple):
    """The mean of `first - second`, its interval by a paired bootstrap, and the p-value of a paired randomisation test.

    The p-value is the chance of a difference as far from 0 if models were swapped at random, query by query.
    """

    difference: float
    range: Range
    p_value: float


def compare(
    first: NDArray[np.floating[Any]],
    second: NDArray[np.floating[Any]],
    *,
    level: float = DEFAULT_LEVEL,
    replicates: int = DEFAULT_REPLICATES,
    flips: int = DEFAULT_FLIPS,
    seed: int = 0,
) -> Comparison:
    """Compare two models by their values on the same queries, both (q,).

    The test is Fisher's randomisation (Smucker et al. 2007, "A comparison of statistical significance tests for
    information retrieval evaluation"): two-sided, over all ways to swap where there are no more than `flips` of them,
    else over `flips` drawn ones and the observed one, so that it is never 0 (Phipson and Smyth 2010). Deterministic by
    `seed`. Raises AnnbenchError for shapes that differ, no query, a NaN, or settings that are no bootstrap.
    """
    check_bootstrap(level, replicates)
    if first.shape != second.shape or first.ndim != 1 or not first.size:
        raise AnnbenchError(f"a paired test needs a value a query from each side: given {first.shape}, {second.shape}")
    if flips < 1:
        raise AnnbenchError(f"a randomisation test needs a flip or more: given {flips}")
    apart = np.subtract(first, second, dtype=np.float64)
    if np.isnan(apart).any():
        raise AnnbenchError(f"query {int(np.flatnonzero(np.isnan(apart))[0])} has no value: it is nan on one side")
    within = mean_range(apart, level=level, replicates=replicates, seed=seed)
    return Comparison(float(apart.mean()), within, _sign_flip(apart[apart != 0], flips, seed))


def _sign_flip(apart: NDArray[np.float64], flips: int, seed: int) -> float:
    """Return the share of sign flips whose sum is as far from 0; `apart` (m,) holds no 0, which no flip changes."""
    m = len(apart)
    if m == 0:
        return 1.0
    # Sums of the same values in another order may differ by rounding, and must count as equal.
    bound = abs(apart.sum()) - 1e-12 * np.abs(apart).sum()
    if m < 63 and 2**m <= flips:
        signs = (np.arange(2**m)[:, None] >> np.arange(m)) & 1
        return float((np.abs((1 - 2 * signs) @ apart) >= bound).mean())
    rng = np.random.default_rng((seed, 2))
    as_far, step = 0, max(1, _BLOCK // m)
    for start in range(0, flips, step):
        signs = rng.integers(0, 2, (min(step, flips - start), m), np.int8)
        as_far += int((np.abs((1 - 2 * signs) @ apart) >= bound).sum())
    return (1 + as_far) / (1 + flips)


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Correct the p-values (m,) of a family of tests so that hardly any of them is below a level by chance.

    Holm (1979, "A simple sequentially rejective multiple test procedure"): the i-th smallest times m - i, ascending.
    """
    order = np.argsort(p_values, kind="stable")
    raised = np.minimum(np.maximum.accumulate(p_values[order] * np.arange(len(order), 0, -1)), 1.0)
    corrected = np.empty(len(order))
    corrected[order] = raised
    return corrected


def spearman_range(
    values: NDArray[np.floating[Any]],
    gold: NDArray[Any],
    *,
    level: float = DEFAULT_LEVEL,
    replicates: int = DEFAULT_REPLICATES,
    seed: int = 0,
) -> Range:
    """Return the interval of the Spearman correlation of `values` with `gold`, both (n,), by a bootstrap over pairs.

    Each replicate ranks its pairs anew. (nan, nan) where a replicate doesn't vary. Deterministic by `seed`. Raises
    AnnbenchError for shapes that differ, no pair, or settings that are no bootstrap.
    """
    check_bootstrap(level, replicates)
    if values.shape != gold.shape or values.ndim != 1 or not values.size:
        raise AnnbenchError(f"each similarity needs one gold score: given {values.shape} and {gold.shape}")
    n = len(values)
    places = [_places(np.asarray(side)) for side in (values, gold)]
    rng = np.random.default_rng((seed, 3))
    samples: list[NDArray[np.float64]] = []
    step = max(1, _BLOCK // n)
    for start in range(0, replicates, step):
        size = min(step, replicates - start)
        drawn = rng.integers(0, n, (size, n)) + n * np.arange(size)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n)
        x, y = (_mean_ranks(counts, place) for place in places)
        samples.append(_weighted_correlation(x, y, counts))
    return percentile_range(np.concatenate(samples), level)


def _places(values: NDArray[Any]) -> NDArray[np.intp]:
    """Return the place of each value among the distinct ones, (n,)."""
    places: NDArray[np.intp] = np.unique(values, return_inverse=True)[1]
    return places


def _mean_ranks(counts: NDArray[np.int64], places: NDArray[np.intp]) -> NDArray[np.float64]:
    """Return the rank of each value in a sample that holds it `counts` (replicates, n) times, less half of one.

    Equal values share the mean of their ranks: all that come before, and half of themselves.
    """
    order = np.argsort(places, kind="stable")
    start = np.flatnonzero(np.diff(places[order], prepend=-1))
    equal = np.add.reduceat(counts[:, order], start, axis=1)
    ranks: NDArray[np.float64] = (equal.cumsum(axis=1) - equal / 2)[:, places]
    return ranks


def _weighted_correlation(
    x: NDArray[np.float64], y: NDArray[np.float64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return Pearson's correlation of each row, (replicates,), where a value stands `counts` times.

    `x` and `y` (replicates, n) are mean ranks, less half of one; nan where one side doesn't vary.
    """
    middle = counts.sum(axis=1, keepdims=True) / 2  # their mean, whatever the ties
    x, y = x - middle, y - middle
    products = [np.einsum("ij,ij,ij->i", a, b, counts) for a, b in ((x, y), (x, x), (y, y))]
    spread = np.sqrt(products[1] * products[2])
    found: NDArray[np.float64] = np.divide(products[0], spread, out=np.full(len(spread), np.nan), where=spread > 0)
    return found
