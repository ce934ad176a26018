"""Intervals and paired tests: against scipy, by simulation, and at the edges."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import bootstrap, permutation_test, spearmanr, ttest_rel

from harness.core.errors import AnnbenchError
from harness.embedding.measures import intervals
from harness.embedding.measures.intervals import compare, holm, spearman_range


def mean_difference(x, y, axis):
    """Return what the test is about."""
    return np.mean(x - y, axis=axis)


@given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=2, max_size=9))
def test_few_queries_are_tested_exactly(rows):
    """With all swaps tried the p-value is that of scipy's exact test, also where many swaps give equal means.

    scipy is given whole numbers, and we tenths: means that are equal must be told so in spite of rounding.
    """
    first, second = np.array(rows).T
    exact = permutation_test(
        (first, second), mean_difference, permutation_type="samples", vectorized=True, n_resamples=np.inf
    )
    found = compare(first / 10, second / 10, replicates=10)
    assert found.difference == pytest.approx(exact.statistic / 10, abs=1e-12)
    assert found.p_value == pytest.approx(exact.pvalue, abs=1e-9)


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.04])
def test_many_queries_give_the_p_value_of_a_t_test(shift):
    """For hundreds of queries the randomisation test and Student's agree (Smucker et al.), and so does the interval."""
    rng = np.random.default_rng(0)
    first = rng.random(400)
    second = first + rng.normal(shift, 0.2, 400)
    found = compare(first, second, seed=1)
    student = ttest_rel(first, second)
    error = math.sqrt(student.pvalue * (1 - student.pvalue) / 10_000)
    assert found.p_value == pytest.approx(student.pvalue, abs=4 * error + 0.003)
    low, high = student.confidence_interval()
    assert found.range == pytest.approx((low, high), abs=0.1 * (high - low))
    assert found == compare(first, second, seed=1)
    assert found.p_value != compare(first, second, seed=2).p_value
    assert compare(second, first, seed=1).difference == -found.difference


def test_equal_and_opposite_models():
    """A model doesn't differ from itself; one that is better everywhere is hardly so by chance, yet p is never 0."""
    values = np.random.default_rng(0).random(100)
    assert compare(values, values) == (0.0, (0.0, 0.0), 1.0)
    better = compare(values + 0.1, values)
    assert better.p_value == 1 / 10_001
    assert better.range == pytest.approx((0.1, 0.1))


def test_p_values_are_even_where_nothing_differs():
    """Of 300 comparisons of equals, about one in ten has a p-value below 0.1: 15 to 48 with a chance of 99.9%."""
    rng = np.random.default_rng(3)
    below = sum(compare(*rng.random((2, 30)), replicates=2, flips=500, seed=i).p_value < 0.1 for i in range(300))
    assert 15 <= below <= 48


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=15))
def test_a_replicate_is_the_correlation_of_its_pairs(rows):
    """Ranks by counting are those of scipy for a sample that holds each pair as often as it was drawn."""
    x, y, counts = np.array(rows).T
    repeated = np.repeat(x, counts), np.repeat(y, counts)
    ranks = [intervals._mean_ranks(counts[None], intervals._places(side)) for side in (x, y)]
    found = intervals._weighted_correlation(*ranks, counts[None])[0] if counts.any() else math.nan
    if all(len(side) and np.ptp(side) for side in repeated):
        assert found == pytest.approx(spearmanr(*repeated).statistic, abs=1e-9)
    else:
        assert math.isnan(found)


def test_the_range_of_a_correlation_is_that_of_scipy(monkeypatch):
    """The percentiles are those of scipy's paired bootstrap, give or take the draws, whose blocks change nothing."""
    rng = np.random.default_rng(0)
    gold = rng.integers(0, 6, 300)
    values = gold + rng.normal(0, 2.0, 300)
    found = spearman_range(values, gold, replicates=2000)
    theirs = bootstrap(
        (values, gold),
        lambda x, y: spearmanr(x, y).statistic,
        paired=True,
        vectorized=False,
        n_resamples=1000,
        method="percentile",
        rng=np.random.default_rng(1),
    ).confidence_interval
    assert found == pytest.approx((theirs.low, theirs.high), abs=0.1 * (theirs.high - theirs.low))
    monkeypatch.setattr(intervals, "_BLOCK", 7 * 300)
    assert spearman_range(values, gold, replicates=2000) == found


def test_ranges_of_a_correlation_cover():
    """Of 150 samples from a known correlation at least 132 hold it: fewer has a chance of 1 in 1,000 at 95%."""
    rng = np.random.default_rng(5)
    truth = 6 / math.pi * math.asin(0.6 / 2)  # of a bivariate normal with a correlation of 0.6
    hits = 0
    for seed in range(150):
        x = rng.standard_normal(100)
        low, high = spearman_range(x, 0.6 * x + 0.8 * rng.standard_normal(100), replicates=300, seed=seed)
        hits += low <= truth <= high
    assert hits >= 132


def test_edges_of_a_correlation():
    """Values in order of the gold scores leave no doubt; ones that don't vary leave nothing to say."""
    values = np.arange(50.0)
    assert spearman_range(values, values**3) == pytest.approx((1.0, 1.0))
    assert all(math.isnan(bound) for bound in spearman_range(np.ones(50), values))


def test_bad_input_is_refused():
    """Errors name the shapes, the query or the setting."""
    values = np.arange(4.0)
    with pytest.raises(AnnbenchError, match=r"given \(4,\), \(3,\)"):
        compare(values, values[1:])
    with pytest.raises(AnnbenchError, match="query 2 has no value"):
        compare(values, np.array([0, 1, np.nan, 3]))
    with pytest.raises(AnnbenchError, match="a flip or more: given 0"):
        compare(values, values, flips=0)
    with pytest.raises(AnnbenchError, match="given 95"):
        compare(values, values, level=95)
    with pytest.raises(AnnbenchError, match=r"given \(4,\) and \(3,\)"):
        spearman_range(values, values[1:])
    with pytest.raises(AnnbenchError, match="at least 2"):
        spearman_range(values, values, replicates=1)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=9))
def test_holm_rejects_step_by_step(values):
    """At any level, the hypotheses below it are those that Holm's procedure rejects one after the other."""
    p_values = np.array(values)
    for level in (0.01, 0.05, 0.5):
        rejected = np.zeros(len(values), bool)
        for step, number in enumerate(np.argsort(p_values, kind="stable")):
            if not p_values[number] * (len(values) - step) < level:
                break
            rejected[number] = True
        assert ((holm(p_values) < level) == rejected).all()


def test_holm_of_a_textbook():
    """Four tests, by hand."""
    assert holm(np.array([0.01, 0.04, 0.03, 0.005])) == pytest.approx([0.03, 0.06, 0.06, 0.02])
