"""Who is fastest at a recall, who is tied with it, and the interval of a ratio that decides."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from harness.analyse.statistics import Range, ratio_range
from harness.analyse.table import targets_table, tidy
from harness.analyse.winners import winner


def test_the_interval_of_a_ratio_covers() -> None:
    """Of two lognormal figures, each with its 95% interval, the ratio's interval holds the truth as often."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(4000):
        a, b = np.exp(rng.normal(math.log(200), 0.05)), np.exp(rng.normal(math.log(100), 0.02))
        ends = [Range(v * math.exp(-1.96 * s), v * math.exp(1.96 * s)) for v, s in ((a, 0.05), (b, 0.02))]
        low, high = ratio_range(a, ends[0], b, ends[1])
        held += low <= 2 <= high
    assert 0.94 < held / 4000 < 0.96


def test_a_ratio_whose_ends_are_not_known() -> None:
    """A low end of 0 leaves a side without a bound; nan, and figures that aren't positive, give nan."""
    assert ratio_range(2, Range(0, 3), 1, Range(0.9, 1.1)).low == 0
    assert ratio_range(2, Range(1, 3), 1, Range(0, 1.1)).high == math.inf
    for wrong in (math.nan, 0.0, -1.0):
        assert math.isnan(ratio_range(wrong, Range(1, 3), 1, Range(0.9, 1.1)).low)
    assert math.isnan(ratio_range(2, Range(math.nan, math.nan), 1, Range(0.9, 1.1)).low)


def table(factory: Any, *speeds: tuple[str, float, int]) -> Any:
    results = [factory.make_result(n, recall=0.97, qps=q, passes=p, pass_spread=0.02) for n, q, p in speeds]
    return targets_table(tidy(results))


SPEEDS = (("a", 1000, 7), ("b", 1005, 7), ("c", 400, 7), ("d", 990, 1))


@pytest.mark.parametrize(("spread", "tied", "unsure"), [(0.003, 1, ["d"]), (0.1, 0, ["a", "b", "d"])])
def test_the_fastest_and_its_ties(factory: Any, spread: float, tied: int, unsure: list[str]) -> None:
    """Tied is what the interval of the ratio holds within 3%; where it is wider, or there is none, it can't be told."""
    queries = {"mode": "batch"}  # latencies of single queries would add to the spread
    results = [
        factory.make_result(n, recall=0.97, qps=q, passes=p, pass_spread=spread, **queries) for n, q, p in SPEEDS
    ]
    found = winner(targets_table(tidy(results)), 0.95)
    assert found is not None
    assert len(found.tied) == tied
    open_ones = {one.algorithm for one in found.unsure}
    assert open_ones == set(unsure) - {found.best.algorithm}
    assert found.best.relation == ">="


def test_nobody_wins_where_nobody_arrives(factory: Any) -> None:
    """A recall that no algorithm reaches has no winner."""
    assert winner(table(factory, ("a", 1000, 7)), 0.99) is None


@pytest.mark.parametrize("swap", [False, True])
def test_the_order_of_rows_decides_nothing(factory: Any, swap: bool) -> None:
    """The same algorithms in another order give the same winner."""
    speeds = [("a", 1000, 7), ("b", 3000, 7)]
    found = winner(table(factory, *(reversed(speeds) if swap else speeds)), 0.9)
    assert found is not None
    assert (found.best.algorithm, found.tied) == ("b", ())
