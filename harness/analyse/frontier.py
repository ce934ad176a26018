"""The frontier of recall against QPS, and the QPS at a recall read off it. Pure functions of arrays."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Relation = Literal["=", ">=", "not reached"]

# A recall of 0.9 that was summed from 10,000 floats may read 0.8999999999999999.
ROUNDING = 1e-9


class QpsAt(NamedTuple):
    """The QPS at a recall. `value` is nan where `relation` is "not reached".

    ">=" says that every point lies above the recall asked for: `value` is the fastest point, so more may be had.
    """

    value: float
    relation: Relation


@dataclass(frozen=True, eq=False)
class Frontier:
    """Undominated points: `recall` (p,) ascending, `qps` (p,) descending, `indices` (p,) into what they came from."""

    recall: NDArray[np.float64]
    qps: NDArray[np.float64]
    indices: NDArray[np.intp]

    @classmethod
    def of(cls, recall: ArrayLike, qps: ArrayLike) -> Frontier:
        """Take the frontier of all points given."""
        chosen = skyline(recall, qps)
        return cls(_floats(recall)[chosen], _floats(qps)[chosen], chosen)

    def __len__(self) -> int:
        """Count the points."""
        return len(self.recall)


def skyline(recall: ArrayLike, qps: ArrayLike) -> NDArray[np.intp]:
    """Return the indices of points that no other point beats in one and equals in the other, by ascending recall.

    `recall` and `qps` (p,). Of equal points the first is kept; points that are not finite, or whose QPS is not
    positive, are left out.
    """
    r, q = _floats(recall), _floats(qps)
    usable = np.flatnonzero(np.isfinite(r) & np.isfinite(q) & (q > 0))
    # From the highest recall down, the fastest of equal recall first: a point is kept if it is faster than all so far.
    order = usable[np.lexsort((usable, -q[usable], -r[usable]))]
    if not len(order):
        return order
    fastest = np.maximum.accumulate(q[order])
    keep = np.concatenate(([True], q[order][1:] > fastest[:-1]))
    return order[keep][::-1]


def qps_at(recall_target: float, frontier: Frontier) -> QpsAt:
    """Read the QPS at a recall off the frontier: between two points log QPS is linear in recall."""
    if not len(frontier) or recall_target > frontier.recall[-1] + ROUNDING:
        return QpsAt(math.nan, "not reached")
    if recall_target < frontier.recall[0] - ROUNDING:
        return QpsAt(float(frontier.qps[0]), ">=")
    low, high = frontier.qps[-1], frontier.qps[0]
    value = math.exp(float(np.interp(recall_target, frontier.recall, np.log(frontier.qps))))
    # exp(log(x)) may step out of the points' own range by one rounding.
    return QpsAt(float(min(max(value, low), high)), "=")


def fastest_at(recall_target: float, frontier: Frontier) -> int | None:
    """Return the index of the fastest point whose recall is at least the target; None where no point reaches it."""
    if not len(frontier):
        return None
    position = int(np.searchsorted(frontier.recall, recall_target - ROUNDING))
    return int(frontier.indices[position]) if position < len(frontier) else None


def _floats(values: ArrayLike) -> NDArray[np.float64]:
    return np.asarray(values, np.float64).reshape(-1)
