"""The binary heap of the kernels against the standard library's."""

from __future__ import annotations

import heapq

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.kernels.select.heap import pop, push, replace_root

SCORES = st.one_of(st.integers(0, 5).map(float), st.floats(-5, 5, width=32), st.just(np.inf), st.just(-np.inf))


@given(st.lists(st.tuples(st.sampled_from(["push", "pop", "replace"]), SCORES), max_size=120))
@settings(deadline=None)
def test_heap_does_what_heapq_does(steps):
    """After any pushes, pops and replacements the root is the smallest score, and every item keeps its own."""
    scores, items = np.empty(len(steps), np.float32), np.empty(len(steps), np.int64)
    expected: list[float] = []
    count = 0
    for item, (step, score) in enumerate(steps):
        if step == "push":
            push(scores, items, count, np.float32(score), item)
            heapq.heappush(expected, score)
            count += 1
        elif count > 0 and step == "pop":
            removed = pop(scores, items, count)
            count -= 1
            assert np.float32(steps[removed][1]) == np.float32(heapq.heappop(expected))
        elif count > 0:
            removed = items[0]
            replace_root(scores, items, count, np.float32(score), item)
            assert np.float32(steps[removed][1]) == np.float32(heapq.heapreplace(expected, score))
        assert len(set(items[:count].tolist())) == count
        assert scores[:count].tolist() == [steps[i][1] for i in items[:count]]
        np.testing.assert_array_equal(np.sort(scores[:count]), np.sort(np.array(expected, np.float32)))
        assert count == 0 or scores[0] == scores[:count].min()


@pytest.mark.parametrize("dtype", [np.int32, np.int64])
def test_heap_is_emptied_in_order(dtype):
    """What is pushed comes back by ascending score, each item once, whatever integers the items are."""
    values = np.random.default_rng(0).integers(0, 40, 200)
    scores, items = np.empty(200, np.float32), np.empty(200, dtype)
    for i, value in enumerate(values):
        push(scores, items, i, np.float32(value), i)
    popped = [pop(scores, items, count) for count in range(200, 0, -1)]
    assert sorted(popped) == list(range(200))
    np.testing.assert_array_equal(values[popped], np.sort(values))
