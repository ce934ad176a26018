"""The smallest of some integers, against NumPy's sort, ties and extremes included."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.kernels.select.selection import (
    ROOM,
    count_at_most,
    keep_at_most,
    keep_smallest,
    kth_smallest,
    smallest_first,
)

SPREADS = st.sampled_from([0, 1, 50, 10**6, 2**31 - 2])


def draw(n, spread, seed):
    """Draw scores with room behind them, and number them."""
    rng = np.random.default_rng(seed)
    scores = np.full(n + ROOM, -(2**31) + 1, np.int32)  # what lies behind must not count
    scores[:n] = rng.integers(-spread, spread + 1, n)
    return scores, np.arange(n + ROOM, dtype=np.int32)


@given(n=st.integers(1, 700), share=st.floats(0.0, 1.0), spread=SPREADS, seed=st.integers(0, 9))
@settings(deadline=None, max_examples=60)
def test_keep_smallest_keeps_the_first_of_the_smallest(n, share, spread, seed):
    """The k smallest stay in their order with their items; of equal ones the first stay."""
    scores, items = draw(n, spread, seed)
    before, k = scores.copy(), max(1, int(share * n))
    expected = np.sort(np.argsort(before[:n], kind="stable")[:k])
    assert keep_smallest(scores, items, n, k) == before[expected].max()
    np.testing.assert_array_equal(items[:k], expected)
    np.testing.assert_array_equal(scores[:k], before[expected])


@pytest.mark.parametrize("order", ["ascending", "descending", "one low"])
def test_a_sample_that_misleads_costs_nothing(order):
    """Where the sample says too low a limit, or a useless one, the smallest are found all the same."""
    n, k = 4000, 30
    scores = np.zeros(n + ROOM, np.int32)
    scores[:n] = {"ascending": np.arange(n), "descending": np.arange(n)[::-1], "one low": np.full(n, 5)}[order]
    if order == "one low":
        scores[: n : n // 64] = -7
    items, before = np.arange(n + ROOM, dtype=np.int32), scores.copy()
    keep_smallest(scores, items, n, k)
    np.testing.assert_array_equal(items[:k], np.sort(np.argsort(before[:n], kind="stable")[:k]))


@given(n=st.integers(1, 300), share=st.floats(0.0, 1.0), spread=SPREADS, seed=st.integers(0, 9))
@settings(deadline=None, max_examples=40)
def test_smallest_first_loses_nothing(n, share, spread, seed):
    """The k smallest come first, the others follow, each with its item."""
    scores, items = draw(n, spread, seed)
    before, k = scores.copy(), max(1, int(share * n))
    smallest_first(scores, items, n, k, *np.empty((2, n + ROOM), np.int32))
    np.testing.assert_array_equal(np.sort(scores[:k]), np.sort(before[:n])[:k])
    np.testing.assert_array_equal(np.sort(items[:n]), np.arange(n))
    np.testing.assert_array_equal(scores[:n], before[items[:n]])


@given(n=st.integers(1, 200), first=st.integers(0, 199), spread=SPREADS, limit=st.integers(-60, 60))
@settings(deadline=None, max_examples=40)
def test_counting_and_the_kth(n, first, spread, limit):
    """Counts are NumPy's, of any stretch; so is the k-th smallest."""
    first = min(first, n - 1)
    scores, items = draw(n, spread, 1)
    within = scores[first:n].copy()
    assert count_at_most(scores, first, n, limit) == (within <= limit).sum()
    k = 1 + (n - first) // 3
    k = min(k, n - first)
    assert kth_smallest(scores, first, n, k) == np.sort(within)[k - 1]
    kept = keep_at_most(scores, items, n, limit, 0)
    assert kept == (draw(n, spread, 1)[0][:n] < limit).sum()
