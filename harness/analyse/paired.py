"""The ratio of two sides' QPS from passes that were made in turns, each round holding one pass of every setting.

What both sides share cancels within a round: the minute, the machine, the queries. So the ratio is taken round by
round, at equal recall, and a pair of children gives the median of its rounds: what fell on one side of a round alone
does not move it.

One build hides 1-3% of layout and seed, so pairs are what the interval comes from. Rounds within a pair are not
independent of each other, and would make it look narrower than it is. It is Student's t over the medians of the pairs,
in logs, from six pairs on trimmed (`harness.analyse.trimmed`), since on a shared machine one pair in thirty had a
neighbour on one side alone, and was off by 5-32%. What the choice of queries adds is had by a bootstrap of both sides
at once, of the median time of each query over all rounds: a query that met an interrupt in one of them is no slower
than others, and what that does to a round is in the spread of the pairs already. With fewer than three pairs their
spread can't be had from them; then it is the nested bootstrap of `harness.analyse.statistics` over pairs and rounds,
wider by its few degrees of freedom.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from harness.analyse.clock import Clock, time_factors
from harness.analyse.figures import MIN_UNDISTURBED, query_recall
from harness.analyse.frontier import skyline
from harness.analyse.resampling import query_counts, redrawn_means
from harness.analyse.statistics import (
    DEFAULT_LEVEL,
    DEFAULT_REPLICATES,
    Range,
    nested_samples,
    percentile_range,
)
from harness.analyse.trimmed import LEAST_COUNT, critical_value, levels_of, trimmed_mean
from harness.analyse.verdict import Verdict, judge
from harness.core.errors import AnnbenchError
from harness.store.result import Result

# How far beyond its most thorough setting a side is read in a replicate whose queries happen to be hard.
_MOST_BEYOND = 0.02
_MOST_CARRIED = 2.0  # and no farther than twice the step between its last two settings
_ROUNDING = 1e-9

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
    """Two sides at one recall; `target` is None where each has one setting, and they are compared as they are.

    `passes` were made of each setting, of which `disturbed` had a mark, whether they counted or not; `children` ran
    them on either side. `level` is that of the verdict's interval: more than was asked for where there are several
    looks, which hold that together.
    """

    target: float | None
    a: Standing
    b: Standing
    verdict: Verdict | None
    passes: int
    disturbed: int
    children: int
    level: float = DEFAULT_LEVEL


class _Figures(NamedTuple):
    """What one side gave in one pair of children.

    `logs` (settings, rounds) log QPS, `times` (settings, rounds, q) ns of each query, (settings, rounds, 1) where one
    call answered all, `recalls` (settings, 1 + replicates), over all queries in column 0 and redrawn ones in others.
    """

    logs: NDArray[np.float64]
    times: NDArray[np.float64]
    recalls: NDArray[np.float64]


def compare_pairs(
    pairs: Sequence[Pair],
    target: float | None,
    *,
    looks: tuple[int, ...] = (),
    clock: Clock = "wall",
    level: float = DEFAULT_LEVEL,
    replicates: int = DEFAULT_REPLICATES,
    seed: int = 0,
) -> Comparison:
    """Compare two sides at a recall over all pairs of children; the verdict says what A is beside B.

    Between two settings log QPS is linear in recall, as on the frontier. There is no verdict where a side doesn't reach
    the recall, which it does where its mean recall over all pairs does. Rounds with a disturbed pass count only where
    fewer than a third had none. `looks` are the numbers of pairs at which a verdict is asked for, if at more than one:
    `level` then holds for all of them together. By the CPU clock the latencies of a pass are scaled by the share of a
    core that it had (`harness.analyse.clock`), so that a round compares CPU time with CPU time. Raises AnnbenchError
    where nothing was measured, or nothing is known of CPU time.
    """
    if not pairs or not all(pair.a and pair.b for pair in pairs):
        raise AnnbenchError("nothing was measured to compare")
    queries = min(result.queries for pair in pairs for side in pair for result in side)
    counts = np.hstack([np.ones((queries, 1)), query_counts(queries, replicates, seed)])
    kept = [_kept(pair) for pair in pairs]
    figures = [
        [_figures(pair[side], rounds, counts, clock) for pair, rounds in zip(pairs, kept, strict=True)]
        for side in (0, 1)
    ]
    recalls = [tuple(np.mean([one.recalls[:, 0] for one in side], axis=0).tolist()) for side in figures]
    chosen = [_undominated(side) for side in figures]
    relations: list[Relation] = [
        "=" if target is None else relation_to(target, [recall[setting] for setting in settings])
        for recall, settings in zip(recalls, chosen, strict=True)
    ]
    logs = [_by_round(side, settings, target) for side, settings in zip(figures, chosen, strict=True)]
    standings = [
        Standing(math.exp(float(np.median(np.concatenate(side)))), relation, recall)
        for side, relation, recall in zip(logs, relations, recalls, strict=True)
    ]
    made, used = sum(_rounds(pair) for pair in pairs), sum(len(rounds) for rounds in kept)
    outcome, each = None, levels_of(looks, level).get(len(pairs), level)
    if "not reached" not in relations:
        a, b = (_by_query(side, settings, target, counts) for side, settings in zip(figures, chosen, strict=True))
        ratios = [first - second for first, second in zip(*logs, strict=True)]
        estimate, bounds = _interval(ratios, a - b, queries, each, seed)
        if queries == 1:  # what others would say can't be had from one
            bounds = Range(math.nan, math.nan)
        outcome = judge(math.exp(estimate), bounds, used, len(pairs))
    marked = sum(int(_marks(pair).sum()) for pair in pairs)
    return Comparison(target, standings[0], standings[1], outcome, made, marked, len(pairs), each)


def _interval(
    ratios: Sequence[NDArray[np.float64]], redrawn: NDArray[np.float64], queries: int, level: float, seed: int
) -> tuple[float, Range]:
    """Return the log ratio and the interval of the ratio.

    `ratios` (rounds,) are log ratios of each pair, `redrawn` (replicates,) how far redrawn queries move them.
    """
    from scipy.special import stdtrit

    if len(ratios) < LEAST_COUNT:
        whole = np.concatenate(ratios)
        estimate = float(np.median(whole))
        if len(whole) < 2:
            return estimate, Range(math.nan, math.nan)
        number = np.repeat(np.arange(len(ratios)), [len(pair) for pair in ratios])
        rng = np.random.default_rng((seed, 2))
        samples = nested_samples(whole, whole[:, None] + redrawn, number, queries, level=level, rng=rng)
        return estimate, percentile_range(np.exp(samples), level)
    mean, error = trimmed_mean(np.array([[np.median(pair) for pair in ratios]]))
    by_pairs = float(error[0]) * critical_value(len(ratios), level)
    by_query = float(redrawn.std(ddof=1)) * float(stdtrit(queries - 1, (1 + level) / 2))
    estimate, half = float(mean[0]), math.hypot(by_pairs, by_query)
    return estimate, Range(math.exp(estimate - half), math.exp(estimate + half))


def _rounds(pair: Pair) -> int:
    return min(result.passes for side in pair for result in side)


def _marks(pair: Pair) -> NDArray[np.bool_]:
    """Say of each round whether a pass of it was disturbed."""
    count = _rounds(pair)
    marks = np.zeros(count, np.bool_)
    for side in pair:
        for result in side:
            marks |= result.pass_disturbed[:count]
    return marks


def _kept(pair: Pair) -> NDArray[np.intp]:
    """Return the numbers of the rounds in which nothing was disturbed, or of all where those are less than a third.

    The median of many that were disturbed says more than that of a few that were not.
    """
    marks = _marks(pair)
    quiet = np.flatnonzero(~marks)
    return quiet if len(quiet) >= max(MIN_UNDISTURBED, len(marks) // 3) else np.arange(len(marks))


def _figures(side: Sequence[Result], rounds: NDArray[np.intp], counts: NDArray[np.float64], clock: Clock) -> _Figures:
    queries = len(counts)
    times = [
        np.stack([result.latencies_ns[result.repetition_pass == number].mean(axis=0) for number in rounds])
        * _known_factors(result, rounds, clock)[:, None]
        for result in side
    ]
    if side[0].spec.get("mode") == "batch":  # one call answered all: no query has a time of its own
        logs = [np.log(result.queries * 1e9 / mine[:, 0]) for result, mine in zip(side, times, strict=True)]
    else:
        times = [mine[:, :queries] for mine in times]
        logs = [np.log(1e9 / mine.mean(axis=1)) for mine in times]
    misses = redrawn_means(np.stack([1 - query_recall(result)[:queries] for result in side]), counts)
    return _Figures(np.stack(logs), np.stack(times), 1 - misses)


def _known_factors(result: Result, passes: NDArray[np.intp], clock: Clock) -> NDArray[np.float64]:
    """Return what the latencies of these passes are multiplied with; raise AnnbenchError where that isn't known."""
    factors = time_factors(result, clock)[passes]
    if np.isnan(factors).any():
        raise AnnbenchError(
            f"{result.name}: its file doesn't say how much CPU time the passes took; measure it anew, or compare by "
            "--clock wall"
        )
    return factors


def _by_round(side: Sequence[_Figures], settings: Sequence[int], target: float | None) -> list[NDArray[np.float64]]:
    """Read one side at the recall in each round: log QPS, (rounds,) of each pair."""
    if target is None:
        return [pair.logs[0] for pair in side]
    return [
        read_at(target, np.repeat(pair.recalls[settings, :1], pair.logs.shape[1], axis=1), pair.logs[settings])
        for pair in side
    ]


def _by_query(
    side: Sequence[_Figures], settings: Sequence[int], target: float | None, counts: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Say how far redrawn queries move the log QPS of one side at the recall: (replicates,)."""
    times = np.concatenate([pair.times for pair in side], axis=1)
    typical = np.median(times, axis=1)  # (settings, q), or (settings, 1) of batches
    if typical.shape[1] == len(counts):
        logs = -np.log(redrawn_means(typical, counts))
    else:
        logs = np.repeat(-np.log(typical), counts.shape[1], axis=1)
    if target is None:
        moved = logs[0]
    else:
        recalls = np.mean([pair.recalls for pair in side], axis=0)
        moved = read_at(target, recalls[settings], logs[settings])
    shifts: NDArray[np.float64] = moved[1:] - moved[0]
    return shifts


def _undominated(side: Sequence[_Figures]) -> list[int]:
    """Return the settings to read between: the frontier over all pairs, by ascending recall.

    A setting that one quick pass could not tell from its neighbours is measured with them; what it is worth is seen
    here.
    """
    recall = np.mean([pair.recalls[:, 0] for pair in side], axis=0)
    speed = np.exp(np.median(np.concatenate([pair.logs for pair in side], axis=1), axis=1))
    return [int(setting) for setting in skyline(recall, speed)]


def relation_to(target: float, recall: Sequence[float]) -> Relation:
    """Say how settings of these recalls stand to a target."""
    if max(recall) < target - _ROUNDING:
        return "not reached"
    return ">=" if min(recall) > target + _ROUNDING else "="


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
