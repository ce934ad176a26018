"""Pair classification: against scikit-learn, with each threshold tried one by one."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, average_precision_score, f1_score

from harness.core.errors import AnnbenchError
from harness.embedding.measures.pairs import score_pairs

pairs = st.lists(st.tuples(st.integers(-3, 3), st.booleans()), min_size=1, max_size=25).filter(
    lambda rows: any(together for _, together in rows)
)


@given(pairs)
def test_scores_are_those_of_scikit_learn(rows):
    """Average precision is scikit-learn's; accuracy and F1 are the best of all thresholds, and theirs reach them."""
    values, together = np.array([row[0] for row in rows], np.float64), np.array([row[1] for row in rows])
    found = score_pairs(values, together)
    assert found.average_precision == pytest.approx(average_precision_score(together, values), abs=1e-9)
    calls = [values >= threshold for threshold in [*np.unique(values), math.inf]]
    assert found.accuracy == pytest.approx(max(accuracy_score(together, call) for call in calls), abs=1e-9)
    assert found.f1 == pytest.approx(max(f1_score(together, call) for call in calls), abs=1e-9)
    assert accuracy_score(together, values >= found.accuracy_threshold) == pytest.approx(found.accuracy, abs=1e-9)
    assert f1_score(together, values >= found.f1_threshold) == pytest.approx(found.f1, abs=1e-9)


def test_a_gap_is_split_in_its_middle():
    """Pairs that are told apart wholly have a threshold half-way, and 0 and 1 serve as labels."""
    found = score_pairs(np.array([0.9, 0.1, 0.7, 0.3]), np.array([1, 0, 1, 0]))
    assert found == pytest.approx((1.0, 1.0, 0.5, 1.0, 0.5))


def test_neighbouring_floats_are_told_apart():
    """Where no number lies between two similarities, the threshold is the upper one."""
    upper, lower = np.nextafter(0.5, 1.0), 0.5
    found = score_pairs(np.array([lower, upper]), np.array([False, True]))
    assert (found.accuracy, found.accuracy_threshold, found.f1_threshold) == (1.0, upper, upper)


def test_no_pair_may_be_the_best_call():
    """Where the one pair that belongs together is least alike of many, calling none is most accurate."""
    found = score_pairs(np.arange(5.0), np.array([1, 0, 0, 0, 0]))
    assert (found.accuracy, found.accuracy_threshold) == (0.8, math.inf)
    assert found.average_precision == pytest.approx(0.2)


def test_bad_input_is_refused():
    """Errors name the pair that is wrong."""
    with pytest.raises(AnnbenchError, match=r"\(2,\) and \(3,\)"):
        score_pairs(np.ones(2), np.ones(3))
    with pytest.raises(AnnbenchError, match=r"similarities\[1\] is nan"):
        score_pairs(np.array([1.0, np.nan]), np.ones(2))
    with pytest.raises(AnnbenchError, match="pair 1 is 2"):
        score_pairs(np.ones(2), np.array([1, 2]))
    with pytest.raises(AnnbenchError, match="no pair belongs together"):
        score_pairs(np.ones(2), np.zeros(2))
