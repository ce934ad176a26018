"""Which search setting to measure next: the highest expected improvement under a Gaussian process.

Over the logarithms of an index's parameters, log QPS and log miss rate (1 - recall) are nearly straight lines. To each
a Gaussian process with a linear and a smooth kernel is fitted. The next setting is that of the highest expected
improvement of QPS (Jones et al. 1998) times the probability that it reaches the recall (Gardner et al. 2014, "Bayesian
Optimization with Inequality Constraints"). The settings to choose from are few, so all of them are scored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from harness.tune.probe import Point

# A recall of 1 has a miss rate of 0, which has no logarithm: one query in a thousand at k = 10 is finer than any need.
_MIN_MISS = 1e-4
# Standard deviations of the process, in logs: of a slope over the spread of a parameter, of the departure from a line,
# and of a measurement. A departure is alike within one spread of a parameter.
_SLOPE, _DEPARTURE, _NOISE, _LENGTH = 1.5, 0.4, 0.03, 1.0
# Measuring goes on while the gain that can be expected is more than this, in logs.
_MIN_GAIN = 0.01
# Shares of the misses that the target allows, for the settings that stand by in case that a rebuild falls short of it.
_FEWER_MISSES = (0.8, 0.5)


class Bounds(NamedTuple):
    """Bounds on the QPS of a build at the target; 0 and inf where nothing bounds it."""

    low: float
    high: float


def bounds(points: Sequence[Point], target: float) -> Bounds:
    """Bound the QPS at a recall by what was measured on either side of it.

    QPS falls as recall rises. So a setting that reaches the target is a lower bound, and one that doesn't reach it is
    an upper bound, since whatever does is slower.
    """
    low = max((point.qps for point in points if point.recall >= target), default=0.0)
    high = min((point.qps for point in points if point.recall < target), default=math.inf)
    return Bounds(low, max(low, high))


def best_point(points: Sequence[Point], target: float) -> Point | None:
    """Return the fastest point that reaches the target."""
    reaching = [point for point in points if point.recall >= target]
    return max(reaching, key=lambda point: point.qps, default=None)


def scouts(pool: Sequence[dict[str, Any]], points: Sequence[Point], target: float) -> dict[str, Any] | None:
    """Return which setting of a grid, written from the least thorough to the most, to try first; then second.

    The first is that in the middle, the second lies halfway towards the target. None after two.
    """
    if not pool or len(points) >= 2:
        return None
    middle = (len(pool) - 1) // 2
    if not points:
        return pool[middle]
    step = max(1, len(pool) // 4)
    place = middle - step if points[0].recall >= target else middle + step
    second = pool[min(max(place, 0), len(pool) - 1)]
    return None if second == points[0].params else second


def next_setting(
    points: Sequence[Point], pool: Sequence[dict[str, Any]], target: float, banned: Sequence[dict[str, Any]] = ()
) -> dict[str, Any] | None:
    """Return the setting of the pool to measure next; None where no other promises to be faster.

    `points` were measured of one build; `banned` are settings that failed. While nothing reaches the target, the
    setting that is likeliest to reach it is returned.
    """
    done = [point.params for point in points]
    fresh = [setting for setting in pool if setting not in done and setting not in banned]
    if not fresh or not points:
        return None
    features = _features([*done, *fresh])
    here, there = features[: len(done)], features[len(done) :]
    wanted = math.log(max(1 - target, _MIN_MISS))
    miss, miss_deviation = _predict(here, np.log([max(1 - point.recall, _MIN_MISS) for point in points]), there)
    speed, speed_deviation = _predict(here, np.log([point.qps for point in points]), there)
    reaches = ndtr((wanted - miss) / miss_deviation)
    found = best_point(points, target)
    if found is None:
        return fresh[int(np.argmax(reaches))]
    gain = reaches * _expected_improvement(speed - math.log(found.qps), speed_deviation)
    place = int(np.argmax(gain))
    return fresh[place] if gain[place] > _MIN_GAIN else None


def ladder(
    points: Sequence[Point], pool: Sequence[dict[str, Any]], target: float, banned: Sequence[dict[str, Any]] = ()
) -> list[dict[str, Any]]:
    """Return up to three settings of a build for the finals: recall may be lower when an index is built anew.

    The first is the fastest that reached the target. The others are the fastest that have, or are predicted to have,
    20% and 50% fewer misses than the target allows, so that a rebuild that falls just short costs little speed.
    They come from what was measured, the pool, and the midpoint between the first and the next safer one measured.
    """
    best = best_point(points, target)
    if best is None:
        return []
    safer = min(
        (point for point in points if point.recall > best.recall and point.qps <= best.qps),
        key=lambda point: point.recall,
        default=None,
    )
    between = midpoint(best.params, safer.params) if safer is not None else None
    done = [point.params for point in points]
    fresh = [
        setting
        for setting in [*pool, *([between] if between is not None else [])]
        if setting not in done and setting not in banned
    ]
    misses = np.log([max(1 - point.recall, _MIN_MISS) for point in points])
    speeds = np.log([point.qps for point in points])
    if fresh:
        features = _features([*done, *fresh])
        here, there = features[: len(done)], features[len(done) :]
        misses = np.concatenate([misses, _predict(here, misses, there)[0]])
        speeds = np.concatenate([speeds, _predict(here, speeds, there)[0]])
    every, wanted = [*done, *fresh], math.log(max(1 - target, _MIN_MISS))
    found = [best.params]
    for share in _FEWER_MISSES:
        reaching = np.where(misses <= wanted + math.log(share), speeds, -math.inf)
        # With a target near 1 no setting can have so few misses: the one with the fewest is the safest.
        place = int(np.argmax(reaching)) if np.isfinite(reaching).any() else int(np.argmin(misses))
        if every[place] not in found:
            found.append(every[place])
    return found


def midpoint(low: Mapping[str, Any], high: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return the setting halfway between two, each integer by the geometric mean; None where there is none.

    There is none where they differ in anything but positive integers.
    """
    if low.keys() != high.keys():
        return None
    found: dict[str, Any] = {}
    for name, value in low.items():
        other = high[name]
        if value == other:
            found[name] = value
        elif all(type(one) is int and one > 0 for one in (value, other)):
            found[name] = round(math.sqrt(value * other))
        else:
            return None
    return None if found in (low, high) else found


def _expected_improvement(ahead: NDArray[np.float64], deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return E[max(0, x)] of x ~ N(ahead, deviation^2)."""
    z = ahead / deviation
    density = np.exp(-0.5 * z**2) / math.sqrt(2 * math.pi)
    out: NDArray[np.float64] = ahead * ndtr(z) + deviation * density
    return out


def _features(settings: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    """Return a row a setting: of each number that varies its logarithm, of each word an indicator, standardised."""
    columns: list[NDArray[np.float64]] = []
    for name in dict.fromkeys(key for setting in settings for key in setting):
        values = [setting.get(name) for setting in settings]
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            numbers = np.array(values, np.float64)
            columns.append(np.sign(numbers) * np.log1p(np.abs(numbers)))
        else:
            shown = [repr(value) for value in values]
            columns += [np.array([one == word for one in shown], np.float64) for word in sorted(set(shown))[1:]]
    matrix = np.stack(columns, axis=1) if columns else np.zeros((len(settings), 0))
    spread = matrix.std(axis=0)
    varied = matrix[:, spread > 0]
    out: NDArray[np.float64] = (varied - varied.mean(axis=0)) / spread[spread > 0]
    return out


def _predict(
    here: NDArray[np.float64], values: NDArray[np.float64], there: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of the process `there`, given the values measured `here`."""
    mean = values.mean()
    noisy = _kernel(here, here) + _NOISE**2 * np.eye(len(here))
    across = _kernel(there, here)
    solved = np.linalg.solve(noisy, np.column_stack([values - mean, across.T]))
    prior = _DEPARTURE**2 + 1 + _SLOPE**2 * (there**2).sum(axis=1)
    variance = prior - (across * solved[:, 1:].T).sum(axis=1)
    return mean + across @ solved[:, 0], np.sqrt(np.maximum(variance, 1e-12))


def _kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the covariances of the process between two sets of settings: a constant, a line and a smooth departure."""
    apart = ((a[:, None] - b[None]) ** 2).sum(axis=2)
    out: NDArray[np.float64] = 1 + _SLOPE**2 * (a @ b.T) + _DEPARTURE**2 * np.exp(-apart / (2 * _LENGTH**2))
    return out
