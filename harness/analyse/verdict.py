"""Which of two is faster, and whether that can be known: pure functions of log ratios and their intervals.

A ratio within 0.97-1.03 makes no difference to anyone: less is hidden by how a compiler lays out a loop (Mytkowicz et
al. 2009, "Producing Wrong Data Without Doing Anything Obviously Wrong!"). So there are four verdicts, and not two: an
interval that lies within the zone is a tie, however far it is from 1; one that excludes 1 and leaves the zone is a
difference; one that holds 1 and leaves the zone says nothing but that more passes are needed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from harness.analyse.statistics import Range

TIE = Range(0.97, 1.03)

Kind = Literal["faster", "slower", "tied", "unsure"]

# A ratio that lies exactly on 1, or on the edge of the zone, could never be told from it: this far off is assumed.
_LEAST_DISTANCE = 0.005


@dataclass(frozen=True)
class Verdict:
    """A ratio of QPS, its interval, and what that says of the first side.

    Where unsure, `more` passes are needed, of each setting of each side and on top of those that were made, in
    `more_children`: an estimate from how intervals narrow.
    """

    ratio: float
    interval: Range
    kind: Kind
    more: int = 0
    more_children: int = 0


def judge(ratio: float, interval: Range, passes: int, children: int) -> Verdict:
    """Judge a ratio of QPS from its interval, which `passes` passes in `children` child processes a side gave."""
    low, high = interval
    if not (math.isfinite(ratio) and math.isfinite(low) and math.isfinite(high)):
        return Verdict(ratio, interval, "unsure", passes, children)
    if low >= TIE.low and high <= TIE.high:
        return Verdict(ratio, interval, "tied")
    if low > 1:
        return Verdict(ratio, interval, "faster")
    if high < 1:
        return Verdict(ratio, interval, "slower")
    more = more_children(ratio, interval, children)
    return Verdict(ratio, interval, "unsure", math.ceil(more * passes / children), more)


def more_children(ratio: float, interval: Range, children: int) -> int:
    """Estimate how many more would settle it, one way or the other, if the ratio stays: widths fall as 1/sqrt.

    It is settled when the interval either excludes 1 or lies within the zone of ties, whichever comes first. Passes of
    the same children would not do: how builds differ is what the interval is made of.
    """
    log = math.log(ratio)
    half = max((math.log(interval.high) - math.log(interval.low)) / 2, 1e-12)
    to_zone = math.log(TIE.high) - log if log >= 0 else log - math.log(TIE.low)
    wanted = max(abs(log), to_zone, _LEAST_DISTANCE)
    return max(1, math.ceil(children * ((half / wanted) ** 2 - 1)))
