"""Stamps of rows seen: whatever searches came before, a new one has seen nothing."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from algorithms.kernels.graph.visited import next_generation


@given(
    st.integers(0, 9),
    st.lists(st.tuples(st.integers(1, 300), st.sets(st.integers(0, 8))), min_size=1, max_size=8),
)
@settings(deadline=None)
def test_a_new_stamp_is_carried_by_no_row(n, searches):
    """Each search gets a stamp that no row carries, however many came before it and whatever rows they marked."""
    visited = np.zeros(n + 1, np.uint8)
    for searches_without_marks, rows in searches:
        for _ in range(searches_without_marks):
            stamp = next_generation(visited)
            assert stamp == visited[n]
            assert not (visited[:n] == stamp).any()
        visited[[row for row in rows if row < n]] = stamp
        assert {int(row) for row in np.flatnonzero(visited[:n] == stamp)} == {row for row in rows if row < n}


def test_stamps_are_wiped_every_255_searches():
    """Stamps count up from 1 to 255; then all rows are wiped, those marked long ago too, and 1 comes again."""
    visited = np.zeros(4, np.uint8)
    for expected in (*range(1, 256), *range(1, 256), 1):
        stamp = next_generation(visited)
        assert stamp == expected
        assert not (visited[:3] == stamp).any()
        visited[expected % 3] = stamp
    assert visited.tolist() == [0, 1, 0, 1]
