"""The ratio of two sides' QPS from passes that were made in turns, each round holding one pass of every setting.

What both sides share cancels within a round: the minute, the machine, the queries. So the ratio is taken round by
round, at equal recall, and a pair of children gives the median of its rounds: what fell on one side of a round alone
does not move it.

One build hides 1-3% of layout and seed, so pairs are what the interval comes from. Rounds within a pair are not
independent of each other, and would make it look narrower than it is. It is Student's t over the medians of the pairs,
in logs. From six pairs on the ends are cut off (the trimmed mean with its winsorised variance: Tukey and McLaughlin
1963), since on a shared machine one pair in thirty had a neighbour on one side alone, and was off by 5-32%. Critical
values are simulated, as Student's are too small for so few. What the choice of queries adds is had by a bootstrap of
both sides at once. With fewer than three pairs their spread can't be had from them; then it is the nested bootstrap of
`harness.analyse.statistics` over pairs and rounds, wider by its few degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.analyse.figures import MIN_UNDISTURBED, query_recall
from harness.analyse.statistics import DEFAULT_LEVEL, DEFAULT_REPLICATES, Range, nested_samples, percentile_range
from harness.analyse.statistics import query_weights as draw
from harness.analyse.verdict import Verdict, judge
from harness.errors import AnnbenchError
from harness.store import Result

# How far beyond its most thorough setting a side is read in a replicate whose queries happen to be hard.
_MOST_BEYOND = 0.02
_MOST_CARRIED = 2.0  # and no farther than twice the step between its last two settings
_ROUNDING = 1e-9

_LEAST_PAIRS = 3
_LEAST_TRIMMED = 6
_TRIM = 0.2  # at either end
_SIMULATED = 200_000

Relation = Literal["=", ">=", "not reached"]


class Pair(NamedTuple):
    """What one pair of children measured: the results of each side's settings, n-th pass by n-th pass."""

    a: Sequence[Result]
    b: Sequence[Result]


@dataclass(frozen=True)
class Standing:
    """One side at the recall that was asked for: its QPS, and how that was read.

    ">=" says that all of its settings lie above the recall; `recall` is that of its settings, over all pairs.
    """

    qps: float
    relation: Relation
    recall: tuple[float, ...]


@dataclass(frozen=True)
class Comparison:
    """Two sides at one recall; `target` is None where each has one setting, and they are compared as they are."""

    target: float | None
    a: Standing
    b: Standing
    verdict: Verdict | None
    passes: int
    disturbed: int


class _Reading(NamedTuple):
    """Log QPS of one side in each round, over all queries (rounds,) and over redrawn ones (rounds, replicates)."""

    whole: NDArray[np.float64]
    redrawn: NDArray[np.float64]
    relation: Relation
    recall: tuple[float, ...]


def compare_pairs(
    pairs: Sequence[Pair],
    target: float | None,
    *,
    level: float = DEFAULT_LEVEL,
    replicates: int = DEFAULT_REPLICATES,
    seed: int = 0,
) -> Comparison:
    """Compare two sides at a recall over all pairs of children; the verdict says what A is beside B.

    Between two settings log QPS is linear in recall, as on the frontier. There is no verdict where a side doesn't reach
    the recall. Rounds with a disturbed pass count only where fewer than three had none. Raises AnnbenchError where
    nothing was measured.
    """
    if not pairs or not all(pair.a and pair.b for pair in pairs):
        raise AnnbenchError("nothing was measured to compare")
    queries = min(result.queries for pair in pairs for side in pair for result in side)
    weights = draw(queries, replicates, seed)
    kept = [_kept(pair) for pair in pairs]
    readings = [
        tuple(_read(side, rounds, target, weights, queries) for side in pair)
        for pair, rounds in zip(pairs, kept, strict=True)
    ]
    sides = [[reading[side] for reading in readings] for side in (0, 1)]
    standings = [_standing(side) for side in sides]
    made = sum(_rounds(pair) for pair in pairs)
    used = sum(len(rounds) for rounds in kept)
    outcome = None
    if all(standing.relation != "not reached" for standing in standings):
        whole = np.concatenate([a.whole - b.whole for a, b in readings])
        redrawn = np.concatenate([a.redrawn - b.redrawn for a, b in readings])
        number = np.repeat(np.arange(len(pairs)), [len(rounds) for rounds in kept])
        estimate, bounds = _interval(whole, redrawn, number, queries, level, seed)
        outcome = judge(math.exp(estimate), bounds, used)
    return Comparison(target, standings[0], standings[1], outcome, made, made - used)


def _interval(
    whole: NDArray[np.float64],
    redrawn: NDArray[np.float64],
    number: NDArray[np.intp],
    queries: int,
    level: float,
    seed: int,
) -> tuple[float, Range]:
    """Return the log ratio and the interval of the ratio.

    `whole` (rounds,) are log ratios, `redrawn` (rounds, replicates) the same over redrawn queries, `number` (rounds,)
    the pair of each round.
    """
    from scipy.special import stdtrit

    count = int(number[-1]) + 1
    if count < _LEAST_PAIRS:
        if len(whole) < 2:
            return float(whole[0]), Range(math.nan, math.nan)
        rng = np.random.default_rng((seed, 2))
        samples = nested_samples(whole, redrawn, number, queries, level=level, rng=rng)
        return float(np.median(whole)), percentile_range(np.exp(samples), level)
    medians = np.array([np.median(whole[number == pair]) for pair in range(count)])
    by_query = np.mean([np.median(redrawn[number == pair], axis=0) for pair in range(count)], axis=0)
    cut = int(_TRIM * count) if count >= _LEAST_TRIMMED else 0
    mean, error = _trimmed(medians[None, :], cut)
    estimate = float(mean[0])
    by_pairs = float(error[0]) * _critical(count, cut, level)
    half = math.hypot(by_pairs, float(by_query.std(ddof=1)) * float(stdtrit(queries - 1, (1 + level) / 2)))
    return estimate, Range(math.exp(estimate - half), math.exp(estimate + half))


def _trimmed(values: NDArray[np.float64], cut: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the mean of each row without its `cut` values at either end, and its standard error: (rows,) each."""
    count = values.shape[1]
    kept = np.sort(values, axis=1)[:, cut : count - cut]
    winsorised = np.clip(values, kept[:, :1], kept[:, -1:])
    share = kept.shape[1] / count
    return kept.mean(axis=1), winsorised.std(axis=1, ddof=1) / (share * math.sqrt(count))


@lru_cache(maxsize=64)
def _critical(count: int, cut: int, level: float) -> float:
    """Return how many standard errors hold `level` of the trimmed means of `count` normal values."""
    from scipy.special import stdtrit

    if not cut:
        return float(stdtrit(count - 1, (1 + level) / 2))
    mean, error = _trimmed(np.random.default_rng(count).standard_normal((_SIMULATED, count)), cut)
    return float(np.quantile(np.abs(mean / error), level))


def _rounds(pair: Pair) -> int:
    return min(result.passes for side in pair for result in side)


def _kept(pair: Pair) -> NDArray[np.intp]:
    """Return the numbers of the rounds in which nothing was disturbed, or of all where those are too few."""
    count = _rounds(pair)
    marks = np.zeros(count, np.bool_)
    for side in pair:
        for result in side:
            marks |= result.pass_disturbed[:count]
    quiet = np.flatnonzero(~marks)
    return quiet if len(quiet) >= MIN_UNDISTURBED else np.arange(count)


def _read(
    side: Sequence[Result],
    rounds: NDArray[np.intp],
    target: float | None,
    weights: NDArray[np.float32],
    queries: int,
) -> _Reading:
    """Read one side of one pair at the recall, round by round."""
    columns = np.concatenate([np.full((queries, 1), 1 / queries, np.float32), weights], axis=1)
    speeds = np.stack([_log_qps(result, rounds, columns, queries) for result in side])  # (settings, rounds, 1 + reps)
    misses = np.stack([(1 - query_recall(result)[:queries]).astype(np.float32) @ columns for result in side])
    recalls = 1 - misses.astype(np.float64)  # (settings, 1 + replicates)
    whole = tuple(float(value) for value in recalls[:, 0])
    if target is None:
        return _Reading(speeds[0, :, 0], speeds[0, :, 1:], "=", whole)
    values = np.stack([read_at(target, recalls, speeds[:, i]) for i in range(len(rounds))])
    return _Reading(values[:, 0], values[:, 1:], relation_to(target, whole), whole)


def relation_to(target: float, recall: Sequence[float]) -> Relation:
    """Say how settings of these recalls stand to a target."""
    if max(recall) < target - _ROUNDING:
        return "not reached"
    return ">=" if min(recall) > target + _ROUNDING else "="


def _log_qps(
    result: Result, rounds: NDArray[np.intp], columns: NDArray[np.float32], queries: int
) -> NDArray[np.float64]:
    """Return log QPS of each round over weighted queries: (rounds, columns)."""
    latencies = np.stack([result.latencies_ns[result.repetition_pass == number].mean(axis=0) for number in rounds])
    if result.spec["mode"] == "batch":  # one call answered all: no query has a latency of its own
        by_round = np.log(result.queries * 1e9 / latencies[:, 0])
        steady: NDArray[np.float64] = np.repeat(by_round[:, None], columns.shape[1], axis=1)
        return steady
    part = latencies[:, :queries]
    scale = part.mean()
    mean: NDArray[np.float32] = (part / scale).astype(np.float32) @ columns
    speeds: NDArray[np.float64] = math.log(1e9 / scale) - np.log(mean.astype(np.float64))
    return speeds


def read_at(target: float, recalls: NDArray[np.float64], logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Read log QPS at a recall in each column: (settings, columns) each -> (columns,).

    Below the least recall the fastest setting is quoted. Above the highest the last two are carried on, a little: with
    redrawn queries a side may fall short of a recall that it reaches.
    """
    order = np.argsort(recalls, axis=0, kind="stable")
    if len(recalls) == 1:
        only: NDArray[np.float64] = logs[0]
        return only
    recalls, logs = np.take_along_axis(recalls, order, axis=0), np.take_along_axis(logs, order, axis=0)
    above = np.clip((recalls < target - _ROUNDING).sum(axis=0), 1, len(recalls) - 1)
    columns = np.arange(recalls.shape[1])
    r0, r1 = recalls[above - 1, columns], recalls[above, columns]
    gap = r1 - r0
    beyond = np.clip(target - r0, 0.0, gap + _MOST_BEYOND)
    share = np.minimum(np.where(gap > 0, beyond / np.where(gap > 0, gap, 1.0), 1.0), _MOST_CARRIED)
    value = logs[above - 1, columns] * (1 - share) + logs[above, columns] * share
    # Where every setting lies above, the fastest is quoted, as the frontier does.
    low: NDArray[np.float64] = np.where(recalls[0] >= target - _ROUNDING, logs.max(axis=0), value)
    return low


def _standing(readings: Sequence[_Reading]) -> Standing:
    """Sum up one side over all pairs: it reaches a recall where its mean recall over them does."""
    whole = np.concatenate([reading.whole for reading in readings])
    recall = tuple(float(value) for value in np.mean([reading.recall for reading in readings], axis=0))
    relations = [reading.relation for reading in readings]
    relation = max(set(relations), key=relations.count)
    return Standing(math.exp(float(np.median(whole))), relation, recall)
