"""Macro-F1 and its interval: against scikit-learn, and against a bootstrap that draws rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import f1_score

from harness.core.errors import AnnbenchError
from harness.embedding.measures.classification import macro_f1, macro_f1_range


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=1, max_size=60))
def test_it_is_that_of_scikit_learn(rows):
    """Labels that are only true, only guessed, or neither, count as they do for scikit-learn."""
    truth, guess = np.array(rows).T
    expected = f1_score(truth, guess, average="macro", zero_division=0.0)
    assert macro_f1(truth, guess) == pytest.approx(expected)


def test_the_interval_is_that_of_drawn_rows():
    """Drawing the confusion matrix gives the interval that drawing rows gives."""
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 4, 300)
    guess = np.where(rng.random(300) < 0.7, truth, rng.integers(0, 4, 300))
    found = macro_f1_range(truth, guess, replicates=4000)
    rows = rng.integers(0, 300, (1000, 300))
    drawn = [f1_score(truth[row], guess[row], average="macro") for row in rows]
    assert (found.low, found.high) == pytest.approx(np.quantile(drawn, [0.025, 0.975]), abs=0.01)
    assert found.low < macro_f1(truth, guess) < found.high
    assert found == macro_f1_range(truth, guess, replicates=4000)


def test_bad_input_is_refused():
    """Shapes that differ and empty ones are refused."""
    with pytest.raises(AnnbenchError, match=r"given \(2,\) and \(3,\)"):
        macro_f1(np.zeros(2, np.int64), np.zeros(3, np.int64))
    with pytest.raises(AnnbenchError, match="each row needs its label"):
        macro_f1_range(np.empty(0, np.int64), np.empty(0, np.int64))
