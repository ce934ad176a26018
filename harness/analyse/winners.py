"""Which algorithm is fastest at a recall, and which can't be told apart from it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.analyse.statistics import Range, ratio_range

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Standing:
    """One algorithm at a recall. `relation` is as in `QpsAt`: ">=" says that more may be had."""

    algorithm: str
    origin: str
    qps: float
    interval: Range
    relation: str
    setting: str


@dataclass(frozen=True)
class Winner:
    """The fastest algorithm at a recall, and those whose ratio of QPS to it has an interval that holds 1.

    `unsure` are those of which that isn't known, for want of an interval on one side. Both in descending order of QPS.
    """

    target: float
    best: Standing
    tied: tuple[Standing, ...]
    unsure: tuple[Standing, ...]


def winner(targets: pd.DataFrame, target: float) -> Winner | None:
    """Find the fastest at a recall among the rows of one group in `targets_table`; None where none reaches it.

    Algorithms are taken as measured independently: that all were asked the same queries makes the interval of a ratio
    too wide rather than too narrow, so that a tie may be named where there is none, hardly the other way round.
    """
    found = [_standing(row, target) for row in targets.to_dict("records")]
    ranked = sorted(
        (one for one in found if one.relation != "not reached" and not math.isnan(one.qps)),
        key=lambda one: (-one.qps, one.algorithm),
    )
    if not ranked:
        return None
    best, *others = ranked
    ratios = [ratio_range(best.qps, best.interval, one.qps, one.interval) for one in others]
    return Winner(
        target=target,
        best=best,
        tied=tuple(one for one, ratio in zip(others, ratios, strict=True) if ratio.low <= 1 <= ratio.high),
        unsure=tuple(one for one, ratio in zip(others, ratios, strict=True) if math.isnan(ratio.low)),
    )


def _standing(row: Any, target: float) -> Standing:
    return Standing(
        algorithm=str(row["algorithm"]),
        origin=str(row["origin"]),
        qps=float(row[f"qps@{target:g}"]),
        interval=Range(float(row[f"low@{target:g}"]), float(row[f"high@{target:g}"])),
        relation=str(row[f"relation@{target:g}"]),
        setting=str(row[f"setting@{target:g}"]),
    )
