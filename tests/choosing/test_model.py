"""Which setting to measure next: few measurements find what a whole grid holds."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.choosing.model import best_point, bounds, ladder, midpoint, next_setting, scouts
from harness.tune.probe import Point

EF = [{"ef": ef} for ef in (10, 12, 15, 20, 25, 30, 40, 50, 60, 80, 100, 120, 160, 200, 300, 400, 600, 800)]
LEAVES = [{"probe": p, "rerank": r} for p in (1, 2, 4, 8, 16, 32, 64) for r in (20, 40, 80, 160, 320)]


def _graph(params: dict[str, int], ease: float) -> Point:
    """Return what a graph's beam width gives: misses fall as a power of it, and so does speed."""
    ef = params["ef"]
    return Point(params, 1 - 0.9 * (ef / 10) ** -ease, 2e5 / (ef + 20))


def _lists(params: dict[str, int]) -> Point:
    """Return what lists and a rerank depth give: each alone bounds the recall."""
    probe, rerank = params["probe"], params["rerank"]
    miss = 0.5 * probe**-1.1 + 0.6 * (rerank / 10) ** -1.6
    return Point(params, max(0.0, 1 - miss), 1e6 / (12 + 6 * probe + 0.2 * rerank))


def _search(pool: list[dict[str, int]], measure: object, target: float, limit: int = 12) -> list[Point]:
    points: list[Point] = []
    while len(points) < limit:
        setting = scouts(pool, points, target)
        if setting is None:
            setting = next_setting(points, pool, target)
        if setting is None:
            break
        points.append(measure(setting))  # type: ignore[operator]
    return points


@pytest.mark.parametrize("target", [0.5, 0.8, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("ease", [0.7, 1.2, 2.5])
def test_a_beam_width_is_found_in_few_steps(target: float, ease: float) -> None:
    """Of eighteen beam widths, at most eight are measured to find the fastest that reaches the recall."""
    every = [_graph(setting, ease) for setting in EF]
    best = best_point(every, target)
    points = _search(EF, lambda setting: _graph(setting, ease), target)
    found = best_point(points, target)
    if best is None:
        assert found is None
        assert max(p.recall for p in points) == max(p.recall for p in every)
    else:
        assert found == best
        assert len(points) <= 8


@pytest.mark.parametrize("target", [0.6, 0.8, 0.9, 0.95])
def test_two_parameters_are_weighed_against_each_other(target: float) -> None:
    """Of 35 settings of two parameters, twelve measurements find one within 10% of the fastest."""
    best = best_point([_lists(setting) for setting in LEAVES], target)
    assert best is not None
    found = best_point(_search(LEAVES, _lists, target), target)
    assert found is not None
    assert found.qps >= 0.9 * best.qps


@given(
    st.lists(st.tuples(st.floats(0, 1), st.floats(1, 1e6)), max_size=8),
    st.floats(0.01, 0.999),
)
def test_bounds_hold_what_was_measured(figures: list[tuple[float, float]], target: float) -> None:
    """No setting that reaches the recall is faster than the upper bound, and the lower bound is one of them or 0."""
    points = [Point({"ef": i}, *figure) for i, figure in enumerate(figures)]
    low, high = bounds(points, target)
    assert low <= high
    assert all(p.qps <= high for p in points if p.recall >= target)
    assert low in {0.0, *(p.qps for p in points if p.recall >= target)}


@given(st.lists(st.sampled_from(EF), min_size=1, max_size=17, unique_by=lambda s: s["ef"]), st.floats(0.1, 0.999))
def test_nothing_is_measured_twice(done: list[dict[str, int]], target: float) -> None:
    """The next setting is a new one, and never one that failed."""
    points = [_graph(setting, 1.0) for setting in done]
    banned = [EF[-1]]
    found = next_setting(points, EF, target, banned)
    assert found is None or (found not in done and found not in banned)


@pytest.mark.parametrize("target", [0.5, 0.8, 0.9, 0.95, 0.99, 1.0])
def test_a_final_is_held_with_settings_that_stand_by(target: float) -> None:
    """First comes the fastest that reached the recall, then up to two others, each slower and with fewer misses."""
    points = _search(EF, lambda setting: _graph(setting, 1.2), target)
    best = best_point(points, target)
    settings = ladder(points, EF, target)
    if best is None:
        assert settings == []
        return
    assert settings[0] == best.params
    assert 1 < len(settings) <= 3
    misses = [1 - _graph(setting, 1.2).recall for setting in settings]
    assert misses == sorted(misses, reverse=True)
    assert misses[1] <= 0.85 * (1 - target)
    assert misses[-1] <= 0.55 * (1 - target)
    assert misses[1] >= 0.4 * (1 - target)


def test_a_gap_between_two_settings_is_closed_by_their_midpoint() -> None:
    """Where the grid jumps from just the recall to far above it, the setting between them goes to the finals, too."""
    pool = [{"ef": 40}, {"ef": 50}, {"ef": 800}]
    points = [_graph(setting, 1.2) for setting in pool]
    target = points[1].recall
    assert ladder(points, pool, target)[:2] == [{"ef": 50}, {"ef": 200}]
    assert {"ef": 200} not in ladder(points, pool, target, banned=[{"ef": 200}])
    exact = [Point({"ef": 1}, 1.0, 100.0)]
    assert ladder(exact, [{"ef": 1}], 0.95) == [{"ef": 1}]


def test_a_midpoint_is_a_setting_of_integers() -> None:
    """Values that agree stay; unlike words, floats and zeros, absent parameters and neighbours have no midpoint."""
    assert midpoint({"a": 4, "b": "x"}, {"a": 9, "b": "x"}) == {"a": 6, "b": "x"}
    for low, high in (
        ({"a": 4}, {"a": 5}),
        ({"a": 4, "b": "x"}, {"a": 9, "b": "y"}),
        ({"a": 0.5}, {"a": 2.0}),
        ({"a": 0}, {"a": 9}),
        ({"a": False}, {"a": True}),
        ({"a": 4}, {"a": 9, "b": 1}),
    ):
        assert midpoint(low, high) is None


def test_words_and_absent_parameters_are_axes_too() -> None:
    """A parameter that is a word, or that some settings leave out, doesn't stop the search."""
    pool = [{"ef": 10, "mode": "fast"}, {"ef": 40, "mode": "fast"}, {"ef": 40}, {"ef": 80, "mode": None}]
    points = [Point(pool[0], 0.5, 1000.0), Point(pool[1], 0.8, 500.0)]
    assert next_setting(points, pool, 0.9) in pool[2:]
    assert bounds([], 0.9) == (0.0, math.inf)
