"""Means of a few values: their critical values against Student's and by simulation, and what looking again costs."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t, trim_mean

from harness.analyse.trimmed import critical_value, levels_of, looks_between, trimmed_mean


@pytest.mark.parametrize("count", [3, 5, 6, 9, 10])
def test_the_mean_is_scipys(count: int) -> None:
    """Of five or fewer it is the mean, of more that without the least and the greatest."""
    values = np.random.default_rng(count).standard_normal((4, count))
    mean, error = trimmed_mean(values)
    np.testing.assert_allclose(mean, trim_mean(values, 1 / count if count >= 6 else 0.0, axis=1))
    if count < 6:
        np.testing.assert_allclose(error, values.std(axis=1, ddof=1) / np.sqrt(count))


def test_one_value_far_off_is_not_believed() -> None:
    """A value moved from the end to far beyond it changes nothing."""
    values = np.array([[0.0, 1.0, 2.0, 3.0, 4.0, 5.0], [0.0, 1.0, 2.0, 3.0, 4.0, 500.0]])
    mean, error = trimmed_mean(values)
    assert mean[0] == mean[1]
    assert error[0] == error[1]


def test_critical_values_are_students_where_nothing_is_cut() -> None:
    """For five values they are those of four degrees of freedom; for ten, more than those of nine."""
    assert critical_value(5, 0.95) == pytest.approx(t.ppf(0.975, 4))
    assert t.ppf(0.975, 9) < critical_value(10, 0.95) < t.ppf(0.975, 3)


@pytest.mark.parametrize(("first", "most"), [(5, 10), (3, 4), (8, 40)])
def test_all_looks_together_hold_the_level(first: int, most: int) -> None:
    """Of means of normal values, looked at again and again, 95% are held at every look."""
    looks = looks_between(first, most)
    levels = levels_of(looks, 0.95)
    assert set(levels) == set(looks)
    values = np.random.default_rng(77).standard_normal((40_000, most))
    held = np.ones(len(values), bool)
    for count in looks:
        mean, error = trimmed_mean(values[:, :count])
        held &= np.abs(mean) <= critical_value(count, levels[count]) * error
    assert held.mean() == pytest.approx(0.95, abs=0.005)


def test_looks() -> None:
    """At what was asked for, and at twice as many each time; one look needs no allowance, few values get a wide one."""
    assert looks_between(5, 10) == (5, 10)
    assert looks_between(5, 30) == (5, 10, 20, 30)
    assert looks_between(5, 6) == (5, 6)
    assert looks_between(5, 5) == looks_between(5, 2) == (5,)
    assert levels_of((5,), 0.95) == {5: 0.95}
    assert levels_of((1, 2), 0.95) == {1: pytest.approx(0.975), 2: pytest.approx(0.975)}
