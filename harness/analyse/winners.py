"""Which algorithm is fastest at a recall, which are tied with it, and of which that can't be told."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from harness.analyse.statistics import Range, ratio_range
from harness.analyse.verdict import TIE, Kind, judge

if TYPE_CHECKING:
    import pandas as pd

MEANING = (
    f"tied: the 95% interval of the ratio of QPS lies within {TIE.low:g}-{TIE.high:g}; "
    "can't tell: it holds 1 and is wider, or there is none"
)
"""What the words beside a winner mean, wherever they stand."""


@dataclass(frozen=True)
class Standing:
    """One algorithm at its fastest measured setting that reaches a recall; `relation` is as in `targets_table`."""

    algorithm: str
    origin: str
    qps: float
    interval: Range
    relation: str
    setting: str


@dataclass(frozen=True)
class Winner:
    """The fastest algorithm at a recall, and how the others stand to it, by the verdicts of `verdict.py`.

    `tied` are those whose ratio of QPS to it has an interval within 0.97-1.03; `unsure` those of which it can't be
    told: the interval holds 1 and is wider, or there is none. Both in descending order of QPS.
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
    kinds = [_beside(best, one) for one in others]
    return Winner(
        target=target,
        best=best,
        tied=tuple(one for one, kind in zip(others, kinds, strict=True) if kind == "tied"),
        unsure=tuple(one for one, kind in zip(others, kinds, strict=True) if kind == "unsure"),
    )


def _beside(best: Standing, other: Standing) -> Kind:
    ratio = ratio_range(best.qps, best.interval, other.qps, other.interval)
    return judge(best.qps / other.qps, ratio, passes=1, children=1).kind


def _standing(row: Any, target: float) -> Standing:
    return Standing(
        algorithm=str(row["algorithm"]),
        origin=str(row["origin"]),
        qps=float(row[f"qps@{target:g}"]),
        interval=Range(float(row[f"low@{target:g}"]), float(row[f"high@{target:g}"])),
        relation=str(row[f"relation@{target:g}"]),
        setting=str(row[f"setting@{target:g}"]),
    )
