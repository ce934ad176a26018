"""Who is fastest at a recall, who is tied with it, and the interval of a ratio that decides."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from harness.analyse.statistics import Range, ratio_range
from harness.analyse.table import tidy
from harness.analyse.targets import targets_table
from harness.analyse.winners import banner, telling, winner
from support import factory


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


def table(*speeds: tuple[str, float, int]) -> Any:
    results = [factory.make_result(n, recall=0.97, qps=q, passes=p, pass_spread=0.02) for n, q, p in speeds]
    return targets_table(tidy(results))


SPEEDS = (("a", 1000, 7), ("b", 1005, 7), ("c", 400, 7), ("d", 990, 1))


@pytest.mark.parametrize(("spread", "tied", "unsure"), [(0.003, 1, ["d"]), (0.1, 0, ["a", "b", "d"])])
def test_the_fastest_and_its_ties(spread: float, tied: int, unsure: list[str]) -> None:
    """Tied is what the interval of the ratio holds within 3%; where it is wider, or there is none, it can't be told."""
    # Latencies of single queries would add to the spread, and of one process it isn't known how much builds differ.
    shape = {"mode": "batch", "processes": 2, "pass_spread": spread}
    results = [factory.make_result(n, recall=0.97, qps=q, passes=p, **shape) for n, q, p in SPEEDS]
    found = winner(targets_table(tidy(results)), 0.95)
    assert found is not None
    assert len(found.tied) == tied
    open_ones = {one.algorithm for one in found.unsure}
    assert open_ones == set(unsure) - {found.best.algorithm}
    assert found.best.relation == ">="


def test_nobody_wins_where_nobody_arrives() -> None:
    """A recall that no algorithm reaches has no winner."""
    assert winner(table(("a", 1000, 7)), 0.99) is None


@pytest.mark.parametrize("swap", [False, True])
def test_the_order_of_rows_decides_nothing(swap: bool) -> None:
    """The same algorithms in another order give the same winner."""
    speeds = [("a", 1000, 7), ("b", 3000, 7)]
    found = winner(table(*(reversed(speeds) if swap else speeds)), 0.9)
    assert found is not None
    assert (found.best.algorithm, found.tied) == ("b", ())


def test_a_busy_machine_has_no_winner() -> None:
    """Where most passes are disturbed nobody wins, however far apart the figures are, and the reason says so."""
    marks = {"disturbed": tuple(range(4)), "recall": 0.97}
    rows = tidy([factory.make_result("a", qps=9000, **marks), factory.make_result("b", qps=1000, **marks)])
    found = winner(targets_table(rows), 0.95)
    assert found is not None
    assert not found.trusted
    assert not found.alone
    assert telling(found) == "no winner: 8 of 14 passes were disturbed"
    assert "8 of 14 passes were disturbed" in banner(rows)


def test_an_algorithm_whose_passes_were_disturbed_is_not_beaten() -> None:
    """Most passes are quiet, but not those of one: it neither wins nor loses."""
    quiet = [factory.make_result(n, qps=q, recall=0.97) for n, q in (("a", 3000), ("b", 1000), ("d", 900))]
    slow = factory.make_result("c", qps=500, recall=0.97, disturbed=(0, 1, 2, 3))
    fast = factory.make_result("c", qps=9000, recall=0.97, disturbed=(0, 1, 2, 3))
    found = winner(targets_table(tidy([*quiet, slow])), 0.95)
    assert found is not None
    assert [one.algorithm for one in found.unsure] == ["c"]
    assert not found.alone
    assert banner(tidy([*quiet, slow])) == ""
    found = winner(targets_table(tidy([*quiet, fast])), 0.95)
    assert found is not None
    assert found.reason == "4 of 7 passes of c were disturbed"


def test_what_is_told_of_a_recall() -> None:
    """One line says who won, who can't be told apart from it, and that nobody arrives."""
    assert telling(None) == "no algorithm reaches it"
    assert telling(winner(table(("a", 1000, 7), ("b", 100, 7)), 0.95)) == "a"
    assert telling(winner(table(("a", 1000, 7), ("d", 400, 1)), 0.95)) == "a; can't tell: d"
