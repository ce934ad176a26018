"""The mean of a few values of which one may be far off: trimmed, with critical values for so few and several looks.

From six values on the least and the greatest are cut off, a tenth at either end of many (the trimmed mean with its
winsorised variance: Tukey and McLaughlin 1963). Critical values are simulated under normal values, as Student's are too
small then.

Whoever looks after five values, and takes more for as long as the interval leaves it open, looks several times, and
gets a false answer more often than the level of one look says: 10-14% of comparisons of equals had a winner where each
of six looks was held to 95%. So there are few looks, each held to more, such that all err in 5% together (group
sequential tests: Pocock 1977). The first has the larger share of that: most comparisons end there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

LEAST_COUNT = 3
"""With fewer values than these their spread can't be had from them."""

_LEAST_TRIMMED = 6
_TRIM = 0.1  # at either end
_SIMULATED = 200_000
_FIRST_SHARE = 0.6


def trimmed_mean(values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of each row of (rows, count) without its ends, and its standard error: (rows,) each."""
    count = values.shape[1]
    cut = max(1, int(_TRIM * count)) if count >= _LEAST_TRIMMED else 0
    kept = np.sort(values, axis=1)[:, cut : count - cut]
    winsorised = np.clip(values, kept[:, :1], kept[:, -1:])
    share = kept.shape[1] / count
    return kept.mean(axis=1), winsorised.std(axis=1, ddof=1) / (share * math.sqrt(count))


@lru_cache(maxsize=64)
def critical_value(count: int, level: float) -> float:
    """Return how many standard errors hold `level` of the trimmed means of `count` normal values."""
    from scipy.special import stdtrit

    if count < _LEAST_TRIMMED:
        return float(stdtrit(count - 1, (1 + level) / 2))
    (distances,) = _simulated((count,))
    return float(np.quantile(distances, level))


def looks_between(first: int, most: int) -> tuple[int, ...]:
    """Return at how many values to look: at the first ones, and at twice as many each time, up to the most."""
    looks = [first]
    while looks[-1] < most:
        looks.append(min(2 * looks[-1], most))
    return tuple(looks)


@lru_cache(maxsize=64)
def levels_of(looks: tuple[int, ...], level: float) -> dict[int, float]:
    """Return the level of each look at so many values, such that all looks together hold the truth in `level`."""
    if len(looks) < 2:
        return dict.fromkeys(looks, level)
    if looks[0] < LEAST_COUNT:  # there are no critical values for so few: the bound that always holds (Bonferroni)
        return dict.fromkeys(looks, 1 - (1 - level) / len(looks))
    share = _FIRST_SHARE * (1 - level)
    first, *later = (_exceeded(distances) for distances in _simulated(looks))
    # Of what the first look leaves, how far off the worst later one is.
    rest = np.where(first <= share, 0.0, np.min(later, axis=0))
    return {looks[0]: 1 - share, **dict.fromkeys(looks[1:], 1 - float(np.quantile(rest, 1 - level)))}


def _exceeded(distances: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return for each distance the share of all that are at least as far: (n,)."""
    shares = np.empty(len(distances))
    shares[np.argsort(-distances)] = np.arange(1, len(distances) + 1) / len(distances)
    return shares


def _simulated(looks: tuple[int, ...]) -> Iterator[NDArray[np.float64]]:
    """Yield for each look how far off the mean of that many normal values is, in standard errors: (simulated,)."""
    values = np.random.default_rng(max(looks)).standard_normal((_SIMULATED, max(looks)))
    for count in looks:
        mean, error = trimmed_mean(values[:, :count])
        yield np.abs(mean / error)
