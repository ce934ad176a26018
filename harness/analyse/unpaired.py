"""The ratio of two sides' QPS where they were not measured in turns: two stores, or a baseline file and a run.

Nothing cancels here: the minute and the memory layout of either side are in the ratio. A side of few children hides how
much builds differ, so that spread is put in by hand (`BUILD_SPREAD`), and a difference within it is not called one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from harness.analyse.clock import Clock
from harness.analyse.drift import BUILD_SPREAD
from harness.analyse.figures import pass_qps, query_recall, quoted_passes
from harness.analyse.paired import Comparison, Standing, read_at, relation_to
from harness.analyse.statistics import DEFAULT_LEVEL, DEFAULT_REPLICATES, Range, nested_samples, percentile_range
from harness.analyse.verdict import judge
from harness.core.errors import AnnbenchError
from harness.store.result import Result


@dataclass(frozen=True, eq=False)
class Speeds:
    """What one setting gave: its recall, the QPS of each pass that counts (n,), and the child of each (n,).

    `passes` were made, of which `disturbed` had a mark.
    """

    recall: float
    qps: NDArray[np.float64]
    process: NDArray[np.int64]
    passes: int
    disturbed: int = 0


def speeds_of(result: Result, clock: Clock = "wall") -> Speeds:
    """Take the figures of a result's quoted passes; by the CPU clock QPS are nan where the file doesn't say."""
    quoted = quoted_passes(result)
    return Speeds(
        recall=float(query_recall(result).mean()),
        qps=pass_qps(result, clock),
        process=result.pass_process[quoted].astype(np.int64),
        passes=result.passes,
        disturbed=result.passes - result.undisturbed,
    )


def compare_speeds(
    a: Sequence[Speeds],
    b: Sequence[Speeds],
    target: float | None,
    *,
    level: float = DEFAULT_LEVEL,
    replicates: int = DEFAULT_REPLICATES,
    seed: int = 0,
) -> Comparison:
    """Compare two sides at a recall, each by a bootstrap of its own over children and passes.

    Recall is taken as it was measured. As `compare_pairs` otherwise; a side of a single pass gives no interval.
    """
    if not a or not b:
        raise AnnbenchError("nothing was measured to compare")
    sides = (a, b)
    relations = ["=" if target is None else relation_to(target, [speeds.recall for speeds in side]) for side in sides]
    samples = [_samples(side, target, level, replicates, (seed, 3 + i)) for i, side in enumerate(sides)]
    estimates = [_estimate(side, target) for side in sides]
    standings = [
        Standing(math.exp(estimate), relation, tuple(speeds.recall for speeds in side))
        for side, relation, estimate in zip(sides, relations, estimates, strict=True)
    ]
    everything = [speeds for side in sides for speeds in side]
    used, children = (min(map(count, everything)) for count in (lambda speeds: len(speeds.qps), _children))
    outcome = None
    if "not reached" not in relations:
        ratio = estimates[0] - estimates[1]
        bounds = percentile_range(np.exp(samples[0] - samples[1]), level) if used > 1 else Range(math.nan, math.nan)
        outcome = judge(math.exp(ratio), bounds, used, children)
    fewest = min(everything, key=lambda speeds: speeds.passes)
    return Comparison(target, standings[0], standings[1], outcome, fewest.passes, fewest.disturbed, children, level)


def _children(speeds: Speeds) -> int:
    return len(np.unique(speeds.process))


def _estimate(side: Sequence[Speeds], target: float | None) -> float:
    logs = np.array([[np.median(np.log(speeds.qps))] for speeds in side])
    return float(_read(side, target, logs)[0])


def _samples(
    side: Sequence[Speeds], target: float | None, level: float, replicates: int, seed: tuple[int, int]
) -> NDArray[np.float64]:
    """Return replicates of log QPS at the recall: (replicates,)."""
    rng = np.random.default_rng(seed)
    rows = []
    for speeds in side:
        logs = np.log(speeds.qps)
        steady = np.repeat(logs[:, None], replicates, axis=1)
        rows.append(nested_samples(logs, steady, speeds.process, 2, level=level, rng=rng))
    children = min(map(_children, side))
    # The settings of a child share its layout: one draw serves them all.
    layout = rng.normal(0, BUILD_SPREAD / math.sqrt(children), replicates)
    return _read(side, target, np.stack(rows)) + layout


def _read(side: Sequence[Speeds], target: float | None, logs: NDArray[np.float64]) -> NDArray[np.float64]:
    if target is None:
        first: NDArray[np.float64] = logs[0]
        return first
    recalls = np.repeat(np.array([[speeds.recall] for speeds in side]), logs.shape[1], axis=1)
    return read_at(target, recalls, logs)
