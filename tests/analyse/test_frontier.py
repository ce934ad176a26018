"""The frontier's properties, and what is read off it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.analyse.frontier import Frontier, fastest_at, qps_at, skyline

# Coarse values, so that ties are common.
POINT = st.tuples(st.integers(0, 20).map(lambda i: i / 20), st.integers(1, 30).map(float))
POINTS = st.lists(POINT, min_size=1, max_size=25)


def columns(points: list[tuple[float, float]]) -> tuple[np.ndarray, np.ndarray]:
    array = np.array(points, float).reshape(-1, 2)
    return array[:, 0], array[:, 1]


def front(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    line = Frontier.of(*columns(points))
    return list(zip(line.recall.tolist(), line.qps.tolist(), strict=True))


def dominates(a: tuple[float, float], b: tuple[float, float]) -> bool:
    return a[0] >= b[0] and a[1] >= b[1] and a != b


@given(POINTS)
def test_frontier_is_the_undominated_points(points: list[tuple[float, float]]) -> None:
    """It holds every point that no other dominates, once, and no other."""
    expected = sorted({p for p in points if not any(dominates(other, p) for other in points)})
    assert front(points) == expected


@given(POINTS)
def test_frontier_is_monotone(points: list[tuple[float, float]]) -> None:
    """Along the frontier recall rises and QPS falls, strictly."""
    line = Frontier.of(*columns(points))
    assert (np.diff(line.recall) > 0).all()
    assert (np.diff(line.qps) < 0).all()


@given(POINTS, st.randoms())
def test_order_of_the_points_does_not_matter(points: list[tuple[float, float]], random: object) -> None:
    """A shuffled list has the same frontier, and so has the frontier alone."""
    shuffled = list(points)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert front(shuffled) == front(points) == front(front(points))


@given(POINTS, st.data())
def test_a_dominated_point_changes_nothing(points: list[tuple[float, float]], data: st.DataObject) -> None:
    """Adding a point that is no better than one that is there leaves the frontier and its readings."""
    recall, qps = data.draw(st.sampled_from(points))
    worse = (recall * data.draw(st.floats(0, 1)), qps * data.draw(st.floats(0.01, 1)))
    more = [*points, worse]
    assert front(more) == front(points)
    assert str(qps_at(0.5, Frontier.of(*columns(more)))) == str(qps_at(0.5, Frontier.of(*columns(points))))


@given(POINTS, st.floats(0, 1))
def test_a_reading_lies_between_its_neighbours(points: list[tuple[float, float]], target: float) -> None:
    """QPS at a recall is no more than the next slower point allows and no less than the point that reaches it."""
    line = Frontier.of(*columns(points))
    value, relation = qps_at(target, line)
    if target > line.recall[-1] + 1e-9:
        assert relation == "not reached"
        assert math.isnan(value)
    elif target < line.recall[0] - 1e-9:
        assert (value, relation) == (line.qps[0], ">=")
    else:
        above = line.qps[line.recall >= target - 1e-9].max()
        below = line.qps[line.recall <= target + 1e-9].min()
        assert above * (1 - 1e-12) <= value <= below * (1 + 1e-12)
        assert relation == "="


@given(POINTS, st.floats(0, 1), st.floats(0, 1))
def test_more_recall_never_gives_more_speed(points: list[tuple[float, float]], one: float, two: float) -> None:
    """QPS at a recall falls as the recall rises."""
    line = Frontier.of(*columns(points))
    low, high = qps_at(min(one, two), line), qps_at(max(one, two), line)
    if high.relation != "not reached":
        assert low.value >= high.value * (1 - 1e-12)


def test_interpolation_is_linear_in_recall_and_log_qps() -> None:
    """Half way between 1,000 and 10 QPS stands 100."""
    line = Frontier.of([0.8, 0.9], [1000.0, 10.0])
    assert qps_at(0.85, line).value == pytest.approx(100.0)
    assert qps_at(0.9, line) == (pytest.approx(10.0), "=")
    assert qps_at(0.8, line) == (pytest.approx(1000.0), "=")


def test_rounding_of_a_recall_is_forgiven() -> None:
    """A recall of 0.9 that was summed to 0.8999999999999999 reaches 0.9."""
    line = Frontier.of([0.8999999999999999], [50.0])
    assert qps_at(0.9, line) == (50.0, "=")
    assert fastest_at(0.9, line) == 0


def test_fastest_setting_that_reaches_a_recall() -> None:
    """The setting to use is the first frontier point at or above the target, by its index in the input."""
    line = Frontier.of([0.99, 0.5, 0.95, 0.94], [10.0, 900.0, 100.0, 90.0])
    assert fastest_at(0.9, line) == 2
    assert fastest_at(0.951, line) == 0
    assert fastest_at(0.999, line) is None
    assert fastest_at(0.1, Frontier.of([], [])) is None


def test_points_without_a_figure_are_left_out() -> None:
    """nan, infinite and non-positive values are no points; of equal points the first is kept."""
    recall = [math.nan, 0.5, 0.5, 0.6, 0.7, 0.9]
    qps = [100.0, 10.0, 10.0, math.inf, 0.0, -5.0]
    assert skyline(recall, qps).tolist() == [1]
    assert len(skyline([], [])) == 0
    assert qps_at(0.5, Frontier.of([], [])).relation == "not reached"
