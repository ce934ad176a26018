"""Which algorithm is fastest at a recall, which are tied with it, and of which that can't be told."""

from __future__ import annotations

import math
from collections.abc import Sequence
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


# A busy machine says more about itself than about indexes: beyond this share of disturbed passes nobody is a winner.
MOST_DISTURBED = 0.5


@dataclass(frozen=True)
class Standing:
    """One algorithm at its fastest measured setting that reaches a recall; `relation` is as in `targets_table`.

    `passes` were made of that setting, of which `disturbed` had a mark.
    """

    algorithm: str
    origin: str
    qps: float
    interval: Range
    relation: str
    setting: str
    passes: int = 0
    disturbed: int = 0

    @property
    def trusted(self) -> bool:
        """Say whether enough of its passes were left alone for a figure to be compared."""
        return self.disturbed <= MOST_DISTURBED * self.passes


@dataclass(frozen=True)
class Winner:
    """The fastest algorithm at a recall, and how the others stand to it, by the verdicts of `verdict.py`.

    `tied` are those whose ratio of QPS to it has an interval within 0.97-1.03; `unsure` those of which it can't be
    told: the interval holds 1 and is wider, or there is none, or most of their passes were disturbed. Both in
    descending order of QPS. `reason` says why nobody may be called the winner, `best` included; empty where one may.
    """

    target: float
    best: Standing
    tied: tuple[Standing, ...]
    unsure: tuple[Standing, ...]
    reason: str = ""

    @property
    def trusted(self) -> bool:
        """Say whether the passes allow a statement at all."""
        return not self.reason

    @property
    def alone(self) -> bool:
        """Say whether `best` is faster than every other: the only case in which it may be called the winner."""
        return self.trusted and not self.tied and not self.unsure


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
        reason=_reason(best, ranked),
    )


def _reason(best: Standing, ranked: Sequence[Standing]) -> str:
    """Say why nobody may be called the winner; empty where somebody may."""
    passes, disturbed = sum(one.passes for one in ranked), sum(one.disturbed for one in ranked)
    if mostly_disturbed(passes, disturbed):
        return f"{disturbed:,} of {passes:,} passes were disturbed"
    if not best.trusted:
        return f"{best.disturbed:,} of {best.passes:,} passes of {best.algorithm} were disturbed"
    return ""


def mostly_disturbed(passes: int, disturbed: int) -> bool:
    """Say whether more than half of some passes were disturbed."""
    return disturbed > MOST_DISTURBED * passes


def telling(found: Winner | None) -> str:
    """Say in one line who is fastest at a recall and how the others stand to it, or why nobody is.

    Names are as results give them: escape the line where it is put into markup.
    """
    if found is None:
        return "no algorithm reaches it"
    if not found.trusted:
        return f"no winner: {found.reason}"
    parts = [found.best.algorithm]
    for said, others in (("tied", found.tied), ("can't tell", found.unsure)):
        if others:
            parts.append(f"{said}: {', '.join(one.algorithm for one in others)}")
    return "; ".join(parts)


def banner(rows: pd.DataFrame) -> str:
    """Warn in a sentence where most passes of some rows of the tidy table were disturbed; empty where they weren't."""
    passes, disturbed = int(rows["passes"].sum()), int(rows["disturbed"].sum())
    if not mostly_disturbed(passes, disturbed):
        return ""
    return (
        f"The machine was busy: {disturbed:,} of {passes:,} passes were disturbed, so no winner is named. "
        "Measure again when nothing else runs, with: annbench run --force"
    )


def _beside(best: Standing, other: Standing) -> Kind:
    ratio = ratio_range(best.qps, best.interval, other.qps, other.interval)
    kind = judge(best.qps / other.qps, ratio, passes=1, children=1).kind
    return kind if kind == "tied" or other.trusted else "unsure"


def _standing(row: Any, target: float) -> Standing:
    return Standing(
        algorithm=str(row["algorithm"]),
        origin=str(row["origin"]),
        qps=float(row[f"qps@{target:g}"]),
        interval=Range(float(row[f"low@{target:g}"]), float(row[f"high@{target:g}"])),
        relation=str(row[f"relation@{target:g}"]),
        setting=str(row[f"setting@{target:g}"]),
        passes=_count(row[f"passes@{target:g}"]),
        disturbed=_count(row[f"disturbed@{target:g}"]),
    )


def _count(value: float) -> int:
    return 0 if math.isnan(value) else int(value)
